import { checkDeadLetters, checkFigures, checkNotifications, figuresOf, isForeign } from './consumers.ts';
import { foreignEvent } from './hops.ts';
import type { Aggregates, Finding, Hops, State, StoredEvent, TopicRecord } from './hops.ts';
import { allowedEffects, finalOutcome, type Request } from './ledger.ts';

/** How the requests without a known outcome ended. */
export interface Unknowns {
  count: number;
  exist: number;
}

/**
 * Compares the hops, each with the one before it, so that an event counts where it first goes missing: answers, event store,
 * write model, topic, then every consumer of the topic.
 * @param stuck the hops that have not caught up: what they do not have yet is late, not lost
 */
export function check(hops: Hops, requests: readonly Request[], stuck: ReadonlySet<string>): Finding[] {
  const effects = effectsOf(hops);
  const records = validRecords(hops);
  return [
    ...requests.flatMap((request) => checkAnswer(request, effects(request))),
    ...hops.aggregates.flatMap((aggregates) => [
      ...checkEventStore(aggregates),
      ...checkTopic(aggregates, hops),
      ...checkReadModels(aggregates, records),
    ]),
    ...checkFigures(hops.figures, figuresOf(records)),
    ...checkNotifications(hops, records),
    ...checkDeadLetters(hops),
  ].filter(({ kind, hop }) => kind !== 'lost' || !stuck.has(hop));
}

/** How the requests ended whose outcome the client does not know. */
export function unknownsOf(hops: Hops, requests: readonly Request[]): Unknowns {
  const effects = effectsOf(hops);
  const open = requests.filter((request) => finalOutcome(request) === 'unknown');
  return { count: open.length, exist: open.filter((request) => effects(request) > 0).length };
}

/** Counts the events that a request has made. */
function effectsOf({ aggregates }: Hops): (request: Request) => number {
  const counts = new Map<string, number>();
  const count = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { type, key, version, data } of aggregates.flatMap(({ events }) => events)) {
    if (type === 'user.created') count(`register ${String(data['username'])}`);
    else if (type === 'user.updated') count(`rename ${String(data['lastName'])}`);
    else if (type === 'order.created') count(`place ${String(data['notes'])}`);
    else if (type === 'order.status-changed') count(`step ${key} ${version} ${String(data['status'])}`);
    else if (type === 'order.deleted') count(`delete ${key} ${version}`);
  }
  return (request) => counts.get(nameOf(request)) ?? 0;
}

function nameOf(request: Request): string {
  if (request.kind === 'step') return `step ${request.orderId} ${request.version} ${request.status}`;
  if (request.kind === 'delete') return `delete ${request.orderId} ${request.version}`;
  return `${request.kind} ${request.mark}`;
}

function checkAnswer(request: Request, effects: number): Finding[] {
  const { least, most } = allowedEffects(request);
  const what = `${nameOf(request)} (answers: ${request.outcomes.join(', ') || 'none'})`;
  if (effects < least)
    return [{ kind: 'lost', hop: 'event store', what: `${what} was acknowledged and does not exist` }];
  if (effects <= most) return [];
  const how = most === 0 ? 'was refused and exists' : `took effect ${effects} times`;
  return [{ kind: 'doubled', hop: 'event store', what: `${what} ${how}` }];
}

/** An aggregate's events are its versions from 1 to the write model's, without gaps, and lead to its state. */
function checkEventStore({ name, state, events }: Aggregates): Finding[] {
  const hop = 'event store';
  const byKey = Map.groupBy(events, ({ key }) => key);
  const findings: Finding[] = [];
  for (const [key, own] of byKey) {
    const versions = own.map(({ version }) => version).toSorted((a, b) => a - b);
    const gap = versions.findIndex((version, i) => version !== i + 1);
    if (gap >= 0) {
      const kind = versions[gap] === versions[gap - 1] ? 'doubled' : 'lost';
      findings.push({ kind, hop, what: `${name} ${key} has the versions ${versions.join(', ')}` });
    }
  }
  for (const key of state.keys())
    if (!byKey.has(key)) findings.push({ kind: 'lost', hop, what: `${name} ${key} exists without an event` });
  return [...findings, ...compareStates(hop, name, foldAll(events), state)];
}

/** Each event is in the topic at least once; the events of a key are in one partition, and their first copies in order. */
function checkTopic({ name, topic, events }: Aggregates, { records, recreated }: Hops): Finding[] {
  const hop = `outbox ${name}`;
  const all = records.filter((record) => record.topic === topic);
  const own = recreated.has(topic) ? publishedAgain(all) : all;
  const stored = new Map(events.map((event) => [event.id, event]));
  const published = new Set(own.map(({ id }) => id));
  const findings: Finding[] = events
    .filter(({ id }) => !published.has(id))
    .map(({ id }) => ({ kind: 'lost', hop, what: `${id} is not in ${topic}` }));
  const seen = new Set<string>();
  const last = new Map<string, number>();
  const homes = new Map<string, number>();
  for (const { partition, offset, key, id = '' } of own) {
    const event = stored.get(id);
    if (!event) {
      if (!isForeign(key)) findings.push({ kind: 'doubled', hop, what: `${topic}/${partition}@${offset} is no event` });
      continue;
    }
    const home = homes.get(event.key) ?? partition;
    homes.set(event.key, home);
    if (partition !== home)
      findings.push({
        kind: 'reordered',
        hop,
        what: `${id} is at ${topic}/${partition}@${offset}, and others of ${event.key} in partition ${home}`,
      });
    if (seen.has(id)) continue;
    seen.add(id);
    if (event.version < (last.get(event.key) ?? 0))
      findings.push({
        kind: 'reordered',
        hop,
        what: `${id} is at ${topic}/${partition}@${offset} after a later version`,
      });
    last.set(event.key, Math.max(event.version, last.get(event.key) ?? 0));
  }
  return findings;
}

/**
 * The records of a topic that was created again, without those that came before the earlier events of their key: from its
 * first event on, all of a key is published again.
 */
function publishedAgain(records: readonly TopicRecord[]): TopicRecord[] {
  const begun = new Set<string>();
  return records.filter((record) => {
    const { partition, key } = record;
    const place = `${partition} ${key}`;
    if (isForeign(key) || eventOf(record).version === 1) begun.add(place);
    return begun.has(place);
  });
}

/** The first copy of each record that is an event, by which every consumer is measured. */
function validRecords({ aggregates, records }: Hops): TopicRecord[] {
  const ids = new Set(aggregates.flatMap(({ events }) => events.map(({ id }) => id)));
  const first = new Map<string, TopicRecord>();
  for (const record of records) {
    const { id } = record;
    if (id !== undefined && (ids.has(id) || id.startsWith(foreignEvent)) && !first.has(id)) first.set(id, record);
  }
  return [...first.values()];
}

function checkReadModels({ name, topic, readModels }: Aggregates, records: readonly TopicRecord[]): Finding[] {
  const own = records.filter((record) => record.topic === topic);
  const expected = foldAll(own.map(eventOf));
  return [...readModels].flatMap(([hop, rows]) => {
    const strangers = [...rows.keys()].filter((key) => !expected.has(key));
    return [
      ...compareStates(hop, name, expected, rows),
      ...strangers.map((key): Finding => ({ kind: 'doubled', hop, what: `${name} ${key} exists without an event` })),
    ];
  });
}

/** An event as its consumers see it: its key and version are in its data. */
function eventOf({ id, type, data = {} }: TopicRecord): StoredEvent {
  const isOrder = type?.startsWith('order.') ?? false;
  const key = String(data[isOrder ? 'orderId' : 'userId']);
  return { id: id!, key, version: Number(data['version'] ?? 1), type: type!, data };
}

/** The state that an aggregate's events lead to. */
function foldAll(events: readonly StoredEvent[]): Map<string, Required<State>> {
  const states = new Map<string, Required<State>>();
  for (const { key, version, type, data } of events) {
    const state = states.get(key) ?? { version: 0, status: '', isDeleted: false };
    const isNewer = version > state.version;
    states.set(key, {
      version: isNewer ? version : state.version,
      status: isNewer ? String(data['status']) : state.status,
      isDeleted: state.isDeleted || type.endsWith('.deleted'),
    });
  }
  return states;
}

function compareStates(
  hop: string,
  name: string,
  expected: ReadonlyMap<string, Required<State>>,
  actual: ReadonlyMap<string, State>,
): Finding[] {
  const findings: Finding[] = [];
  for (const [key, state] of expected) {
    const row = actual.get(key);
    const isBehind = row === undefined || row.version < state.version;
    if (row && sameState(state, row)) continue;
    const kind = isBehind || row.version === state.version ? 'lost' : 'doubled';
    findings.push({ kind, hop, what: `${name} ${key} is ${describe(row)}, not ${describe(state)}` });
  }
  return findings;
}

function sameState(expected: Required<State>, { version, status, isDeleted }: State): boolean {
  return (
    version === expected.version &&
    (status ?? expected.status) === expected.status &&
    (isDeleted ?? expected.isDeleted) === expected.isDeleted
  );
}

function describe(state: State | undefined): string {
  if (!state) return 'missing';
  return `version ${state.version}${state.status ? ` ${state.status}` : ''}${state.isDeleted ? ' deleted' : ''}`;
}
