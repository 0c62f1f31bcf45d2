import { StreamsError } from '#streams/errors';
import type { ReceivedEvent } from '#platform/contract';
import { membersOf } from '#streams/language';
import type { StreamQuery } from '#streams/language';
import { memberReader } from './members.ts';
import type { MemberReader } from './members.ts';
import { layoutOf } from './figures.ts';
import type { Inputs, Layout } from './figures.ts';

/** The key of queries without `keyBy`. */
const singleKey = 'all';

/** of a key, and of a text that is counted */
const maxTextLength = 500;

/** An event that a query cannot use: a key that is no text, a figure that is no number. */
export class UnusableEvent extends StreamsError {
  override name = 'UnusableEvent';

  constructor(message: string) {
    super('ERR_QUERY_EVENT_UNUSABLE', message);
  }
}

/** A version of a query, ready to run. */
export interface Plan {
  /** names this version in the database */
  id: number;
  version: number;
  query: StreamQuery;
  layout: Layout;
  /** which event time it runs by; queries of one clock share their watermarks */
  clock: string;
  /** not serving yet: what its windows would emit is held back */
  isBuilding: boolean;
}

/** The clock of queries without `timestamp`: when events happened. */
export const eventClock = '';

/** Makes a plan of a query. */
export function planOf(query: StreamQuery, id: number, version: number, isBuilding = false): Plan {
  return { id, version, query, layout: layoutOf(query.select), clock: clockOf(query), isBuilding };
}

/** Another `timestamp`, or the same over other events, moves differently. */
function clockOf({ timestamp, from }: StreamQuery): string {
  if (!timestamp) return eventClock;
  const sources = from.map(({ topic, types }) => (types ? `${topic}(${types.join(',')})` : topic));
  return `${timestamp.source} of ${sources.join(' ')}`;
}

/** The plans that run, by the events that they read. Never changed: another set takes its place. */
export class PlanSet {
  /** sorted by id: every transaction then locks in the same order */
  readonly plans: readonly Plan[];
  readonly #byName: ReadonlyMap<string, Plan>;
  readonly #byEvent = new Map<string, Map<string, Reading>>();

  constructor(plans: readonly Plan[]) {
    this.plans = plans.toSorted((a, b) => a.id - b.id);
    this.#byName = new Map(this.plans.map((plan) => [plan.query.name, plan]));
  }

  named(name: string): Plan | undefined {
    return this.#byName.get(name);
  }

  /** What reads events of a type from a topic. */
  reading(topic: string, type: string): Reading {
    let types = this.#byEvent.get(topic);
    if (!types) this.#byEvent.set(topic, (types = new Map<string, Reading>()));
    let reading = types.get(type);
    if (!reading) {
      const plans = this.plans.filter(({ query }) => query.from.some((source) => reads(source, topic, type)));
      reading = { plans, read: readerOf(plans) };
      if (types.size < 1000) types.set(type, reading); // types come from messages
    }
    return reading;
  }
}

/** Who reads the events of a type, and how their data is read. */
export interface Reading {
  plans: readonly Plan[];
  /** reads what the plans need of JSON data. @throws SyntaxError */
  read: MemberReader;
}

function readerOf(plans: readonly Plan[]): MemberReader {
  const members = plans.map(({ query }) => membersOf(query));
  const names = members.flatMap((own) => (own ? [...own] : []));
  return members.includes(undefined)
    ? ({ bytes, start, end }) => JSON.parse(bytes.toString('utf8', start, end)) as unknown
    : memberReader(new Set(names));
}

/** Whether the query reads events such as this one. */
export function readsEvent({ query }: Plan, { topic, type }: ReceivedEvent): boolean {
  return query.from.some((source) => reads(source, topic, type));
}

function reads(source: StreamQuery['from'][number], topic: string, type: string): boolean {
  return source.topic === topic && (source.types === undefined || source.types.includes(type));
}

/** Whether the query wants the event. @throws ExpressionError, UnusableEvent */
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
  return key.toWellFormed(); // two keys that differ in broken surrogates only would be one in the database
}

/** The time by which the query runs, in milliseconds since 1970. @throws ExpressionError, UnusableEvent */
export function timeOf({ query }: Plan, event: ReceivedEvent): number {
  const value = query.timestamp ? query.timestamp.evaluate(event) : event.time;
  const time = value instanceof Date ? value.getTime() : value;
  if (typeof time !== 'number' || !isUsualTime(time)) throw new UnusableEvent('the time is none from 1970 to 9999');
  return time;
}

const noInputs: Inputs = [];

/** Whether a time is one that people and databases know: 1970 to 9999. */
export function isUsualTime(time: number): boolean {
  return time >= 0 && time < 253_402_300_800_000;
}

/** What the event brings to each accumulator with an expression, in their order. @throws ExpressionError, UnusableEvent */
export function inputsOf({ layout }: Plan, event: ReceivedEvent): Inputs {
  if (layout.onlyCounts) return noInputs;
  return layout.accumulators.map(({ of, combine }) => {
    if (!of) return undefined;
    const value = of.evaluate(event);
    return combine === 'distinct' ? textOf(value, of.source) : numberOf(value, of.source);
  });
}

/** The figures of an event by itself. @throws ExpressionError, UnusableEvent */
export function figuresOf({ query }: Plan, event: ReceivedEvent): Record<string, number | string> {
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
