import { InvalidEvent, createDecoder } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import type { Accumulation, Stretch } from '#platform/inbox';
import { nameOf } from '#platform/inbox';
import { counter } from '#platform/telemetry';
import type { ByteRange, IncomingMessage, TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { advanceClocks, aggregate, hashOf, horizon, noEffects, passes, rowOf } from '#streams/engine';
import type { Effects, Occurrence, PartitionClocks, Plan, PlanSet, Tally, Versions } from '#streams/engine';
import { addToSessions, addToWindows, appendToFeed, MetricPack, raiseAlerts, saveProgress } from '#streams/store';
import type { AlertCandidate, ChangedWindow, PartitionMemory, SeenIds, WindowChanges } from '#streams/store';
import { feedKeptMs } from './janitor.ts';

/** What the live stream says of the source events themselves. */
export interface SourceFeed {
  /** the name of these events in the live stream */
  kind: string;
  /** JSON text; undefined for events that the live stream leaves out */
  itemOf: (event: ReceivedEvent) => string | undefined;
}

export interface AccumulationOptions {
  /** the consumer group, whose watermarks these are */
  group: string;
  /** as they are when the accumulation begins */
  versions: Versions;
  /**
   * Makes sure, in the transaction that writes, that these versions still take the events of the partitions.
   * @throws Outdated where they do not
   */
  confirm: (tx: PoolClient, versions: Versions, partitions: readonly TopicPartition[]) => Promise<void>;
  memory: PartitionMemory;
  /** default: the live stream has metrics and alerts alone */
  feed?: SourceFeed | undefined;
  /** milliseconds since 1970 */
  now: () => number;
}

const repeated = counter({
  name: 'millrace_stream_repeated_events_total',
  help: 'Events that had been counted before and were passed over',
  labelNames: ['topic'],
});

/** What events mean to the stream queries, until it is written. */
export class QueryAccumulation implements Accumulation {
  readonly #options: AccumulationOptions;
  readonly #effects: Effects = noEffects();
  /** what the events themselves gave rise to, in queries without a window */
  readonly #alerts: AlertCandidate[] = [];
  readonly #metrics = new MetricPack();
  /** JSON texts for the live stream */
  readonly #feed = { source: [] as string[], metric: [] as string[] };
  readonly #partitions = new Map<string, SeenIds & { hashes: number[]; clocks: PartitionClocks }>();

  constructor(options: AccumulationOptions) {
    this.#options = options;
  }

  /** Those that take the events. */
  get versions(): Versions {
    return this.#options.versions;
  }

  add({ topic, partition, events, next }: Stretch): void {
    const { group, memory, versions, now } = this.#options;
    const known = memory.get({ topic, partition });
    known.next = next;
    const last = events.at(-1)?.offset;
    if (last === undefined) return;
    const name = nameOf({ topic, partition });
    const own = this.#partitions.get(name) ?? { topic, partition, last, hashes: [], clocks: known.clocks };
    this.#partitions.set(name, own);
    own.last = last;
    const fresh = events.filter(({ id }) => {
      const hash = hashOf(id);
      const isNew = known.recent.add(hash);
      if (isNew) own.hashes.push(hash);
      return isNew;
    });
    const riding = versions.riding(group, { topic, partition });
    for (const event of fresh) this.#readData(event, riding.everything);
    const time = now();
    for (const { plans, waiting, events: part } of riding.cut(fresh)) {
      aggregate(plans, part, () => known.clocks, time, this.#effects);
      known.clocks = this.#effects.clocks.pop() ?? known.clocks;
      if (waiting.length > 0) advanceClocks(waiting, part, known.clocks, time);
    }
    own.clocks = known.clocks;
    for (const occurrence of this.#effects.occurrences.splice(0)) this.#occur(occurrence, time);
    if (group !== versions.group) return; // these have been told
    if (fresh.length < events.length) repeated.inc({ topic }, events.length - fresh.length);
    for (const event of fresh) this.#follow(event, time);
  }

  /** Data that is still JSON is read as far as the queries, and the live stream, need it. */
  #readData(event: ReceivedEvent, plans: PlanSet): void {
    const { data } = event;
    if (!(data instanceof UnreadJson)) return;
    try {
      event.data = isLive(event, this.#options.now())
        ? (JSON.parse(data.text) as unknown)
        : plans.reading(event.topic, event.type).read(data);
    } catch {
      event.data = undefined; // no query has a result for it, and each says so
    }
  }

  #occur({ plan, key, event, values }: Occurrence, now: number): void {
    const row = { key, windowStart: null, windowEnd: null, values };
    if (!passes(plan, row)) return;
    const { id: occurrence, traceparent } = event;
    if (plan.query.alert) {
      this.#alerts.push({ plan, row, occurrence, traceparent });
      return;
    }
    const text = this.#metrics.add({ plan, row, occurrence, closed: false, updatedAt: now, traceparent });
    const { group, versions } = this.#options;
    if (group === versions.group && isLive(event, now)) this.#feed.metric.push(text);
  }

  #follow(event: ReceivedEvent, now: number): void {
    const item = isLive(event, now) ? this.#options.feed?.itemOf(event) : undefined;
    if (item !== undefined) this.#feed.source.push(item);
  }

  async write(tx: PoolClient): Promise<void> {
    const { group, versions, confirm, feed } = this.#options;
    const { windows, sessions, tallies } = this.#effects;
    const partitions = [...this.#partitions.values()];
    await confirm(tx, versions, partitions);
    const changes = await addToWindows(tx, windows);
    const sessionChanges = await addToSessions(tx, sessions);
    const crossing = await markAlerted(tx, [...changes.changed, ...sessionChanges.changed]);
    const alerts = await raiseAlerts(tx, [...this.#alerts, ...crossing]);
    await this.#metrics.write(tx);
    const { source, metric } = this.#feed;
    await appendToFeed(tx, { ...(feed && { [feed.kind]: source }), metric, alert: alerts });
    await saveProgress(tx, {
      group,
      tallies: withoutRefused(tallies, [...changes.refused, ...sessionChanges.refused]),
      clocks: partitions.flatMap(({ clocks }) => clocks.progress()),
      seen: partitions.map((seen) => ({ ...seen, hashes: seen.hashes.slice(-horizon) })),
    });
  }
}

/** JSON of which the queries read what they need. */
class UnreadJson implements ByteRange {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;

  constructor({ bytes, start, end }: ByteRange) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }
}

/** Leaves the JSON of a message as it is. @throws InvalidEvent where it is no object */
function unreadJson(message: Pick<IncomingMessage, 'value' | 'valueRange'>): unknown {
  const range = message.valueRange ?? rangeOf(message.value);
  if (range?.bytes[range.start] === 0x7b && range.bytes[range.end - 1] === 0x7d) return new UnreadJson(range);
  throw new InvalidEvent('the value is no JSON object');
}

/** Reads an event and leaves its data as it is until a query asks for it. */
export const decodeLazily = createDecoder<IncomingMessage>(unreadJson);

function rangeOf(bytes: Buffer | null): ByteRange | null {
  return bytes && { bytes, start: 0, end: bytes.length };
}

/** Whether an event is of now: the live stream has no use for the past that a query catches up with. */
function isLive({ time }: ReceivedEvent, now: number): boolean {
  return time >= now - feedKeptMs;
}

/** The tallies, with what turned out to be late: its window had been closed. */
function withoutRefused(tallies: Effects['tallies'], refused: WindowChanges['refused']): Map<Plan, Tally> {
  const adjusted = new Map(tallies);
  for (const { plan, delta } of refused) {
    const tally = adjusted.get(plan)!;
    adjusted.set(plan, { ...tally, matched: tally.matched - delta.events, late: tally.late + delta.events });
  }
  return adjusted;
}

/** Windows that pass `having` for the first time: marked, so that later batches need not ask again. */
async function markAlerted(tx: PoolClient, changed: WindowChanges['changed']): Promise<AlertCandidate[]> {
  const crossing = changed.flatMap(candidateOf);
  if (crossing.length === 0) return [];
  await tx.query({
    name: 'windows-alerted',
    text: `UPDATE stream_windows w SET alerted = true
      FROM unnest($1::int[], $2::float8[], $3::text[]) AS t(query_id, seconds, key)
      WHERE w.query_id = t.query_id AND w.window_start = to_timestamp(t.seconds) AND w.key = t.key`,
    values: [
      crossing.map(({ plan }) => plan.id),
      crossing.map(({ row }) => row.windowStart! / 1000),
      crossing.map(({ row }) => row.key),
    ],
  });
  return crossing;
}

function candidateOf({ plan, start, end, key, accumulators, delta }: ChangedWindow): AlertCandidate[] {
  const row = rowOf(plan, start, key, accumulators, end);
  if (!passes(plan, row)) return [];
  return [{ plan, row, occurrence: new Date(start).toISOString(), traceparent: delta.traceparent }];
}
