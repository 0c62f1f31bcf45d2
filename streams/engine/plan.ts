import { StreamsError } from '#streams/errors';
import type { ReceivedEvent } from '#platform/contract';
import { membersOf } from '#streams/language';
import type { StreamQuery } from '#streams/language';
import { parseExactly } from './exact-json.ts';
import { memberReader } from './json-members.ts';
import type { MemberReader } from './json-members.ts';
import { layoutOf } from './accumulators.ts';
import type { Inputs, Layout } from './accumulators.ts';

/** The key of queries without `keyBy`. */
const singleKey = 'all';

/** the longest key, and the longest text of a distinct count */
const maxTextLength = 500;

/** An event that a query cannot use: its key is not a text, or a value is not a number. */
export class UnusableEvent extends StreamsError {
  override name = 'UnusableEvent';

  constructor(message: string) {
    super('ERR_QUERY_EVENT_UNUSABLE', message);
  }
}

/** A version of a query that can run. */
export interface Plan {
  /** identifies this version in the database */
  id: number;
  version: number;
  query: StreamQuery;
  layout: Layout;
  /** identifies the event time that it uses; queries with the same clock share their watermarks */
  clock: string;
  /** not serving yet: its windows emit when it serves */
  isBuilding: boolean;
}

/** The clock of queries without `timestamp`: the time of the event. */
export const eventClock = '';

/** Makes a plan of a query. */
export function planOf(query: StreamQuery, id: number, version: number, isBuilding = false): Plan {
  return { id, version, query, layout: layoutOf(query.select), clock: clockOf(query), isBuilding };
}

/** Another `timestamp`, or the same one over other events, is another clock. */
function clockOf({ timestamp, from }: StreamQuery): string {
  if (!timestamp) return eventClock;
  const sources = from.map(({ topic, types }) => (types ? `${topic}(${types.join(',')})` : topic));
  return `${timestamp.source} of ${sources.join(' ')}`;
}

/** The plans that run, by the events that they read. It is immutable: a change makes another set. */
export class PlanSet {
  /** sorted by id, so that all transactions lock in the same order */
  readonly plans: readonly Plan[];
  readonly #byName: ReadonlyMap<string, Plan>;
  readonly #byEvent = new Map<string, Map<string, Readers>>();

  constructor(plans: readonly Plan[]) {
    this.plans = plans.toSorted((a, b) => a.id - b.id);
    this.#byName = new Map(this.plans.map((plan) => [plan.query.name, plan]));
  }

  named(name: string): Plan | undefined {
    return this.#byName.get(name);
  }

  /** The readers of events of a type from a topic. */
  readersOf(topic: string, type: string): Readers {
    let types = this.#byEvent.get(topic);
    if (!types) this.#byEvent.set(topic, (types = new Map<string, Readers>()));
    let readers = types.get(type);
    if (!readers) {
      const plans = this.plans.filter(({ query }) => query.from.some((source) => reads(source, topic, type)));
      readers = { plans, read: readerOf(plans) };
      if (types.size < 1000) types.set(type, readers); // types come from messages
    }
    return readers;
  }
}

/** The plans that read the events of a type, and how they read the data. */
export interface Readers {
  plans: readonly Plan[];
  /** reads the members of JSON data that the plans need. @throws SyntaxError */
  read: MemberReader;
}

function readerOf(plans: readonly Plan[]): MemberReader {
  const members = plans.map(({ query }) => membersOf(query));
  const names = members.flatMap((own) => (own ? [...own] : []));
  return members.includes(undefined)
    ? ({ bytes, start, end }) => parseExactly(bytes.toString('utf8', start, end))
    : memberReader(new Set(names));
}

/** Whether the query reads events of this topic and type. */
export function readsEvent({ query }: Plan, { topic, type }: ReceivedEvent): boolean {
  return query.from.some((source) => reads(source, topic, type));
}

function reads(source: StreamQuery['from'][number], topic: string, type: string): boolean {
  return source.topic === topic && (source.types === undefined || source.types.includes(type));
}

/** Whether the query's `where` accepts the event. @throws ExpressionError, UnusableEvent */
export function accepts({ query }: Plan, event: ReceivedEvent): boolean {
  if (!query.where) return true;
  const kept = query.where.evaluate(event);
  if (typeof kept !== 'boolean') throw new UnusableEvent('where is neither true nor false');
  return kept;
}

/** @throws ExpressionError, UnusableEvent */
export function keyOf({ query }: Plan, event: ReceivedEvent): string {
  if (!query.keyBy) return singleKey;
  const key = query.keyBy.evaluate(event);
  if (typeof key !== 'string') throw new UnusableEvent('keyBy is no text');
  if (key.length > maxTextLength || key.includes('\0'))
    throw new UnusableEvent('the key is too long or has a zero byte');
  return key.toWellFormed(); // the database would merge two keys that differ only in broken surrogates
}

/** The event time by the query's clock, in milliseconds since 1970. @throws ExpressionError, UnusableEvent */
export function timeOf({ query }: Plan, event: ReceivedEvent): number {
  const value = query.timestamp ? query.timestamp.evaluate(event) : event.time;
  const time = value instanceof Date ? value.getTime() : value;
  if (typeof time !== 'number' || !isUsualTime(time)) throw new UnusableEvent('the time is none from 1970 to 9999');
  return time;
}

const noInputs: Inputs = [];

/** Whether a time is in the range of the database: 1970 to 9999. */
export function isUsualTime(time: number): boolean {
  return time >= 0 && time < 253_402_300_800_000;
}

/** The values of the event for each accumulator with an expression, in their order. @throws ExpressionError, UnusableEvent */
export function inputsOf({ layout }: Plan, event: ReceivedEvent): Inputs {
  if (layout.onlyCounts) return noInputs;
  return layout.accumulators.map(({ of, combine }) => {
    if (!of) return undefined;
    const value = of.evaluate(event);
    return combine === 'distinct' ? textOf(value, of.source) : numberOf(value, of.source);
  });
}

/** The selected values of a single event. @throws ExpressionError, UnusableEvent */
export function valuesOf({ query }: Plan, event: ReceivedEvent): Record<string, number | string> {
  return Object.fromEntries(
    query.select.map(({ name, of }) => {
      const value = of!.evaluate(event);
      if (typeof value === 'string') return [name, value.replaceAll('\0', '').toWellFormed()];
      const number = numberOf(value, of!.source);
      return [name, typeof number === 'bigint' ? asJson(number) : number];
    }),
  );
}

function asJson(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function textOf(value: unknown, source: string): string {
  if (typeof value !== 'string') throw new UnusableEvent(`${source} is no text`);
  if (value.length > maxTextLength) throw new UnusableEvent(`${source} is longer than ${maxTextLength} characters`);
  return value.toWellFormed();
}

function numberOf(value: unknown, source: string): number | bigint {
  if (typeof value === 'bigint' || Number.isFinite(value)) return value as number | bigint;
  throw new UnusableEvent(`${source} is no number`);
}
