import type { ReceivedEvent } from '#platform/contract';
import type { Expression, Aggregate } from '#streams/language';
import {
  ExactSum,
  addDecimals,
  average,
  compareDecimals,
  formatDecimal,
  parseDecimal,
  toJson,
} from '#streams/language';
import { DistinctSet } from './distinct.ts';

/** How two accumulators combine. A distinct one is the count of a set, which is stored beside it. */
export type Combine = 'add' | 'min' | 'max' | 'distinct';

/** A number that a window stores: a count (no expression), a sum, a minimum, a maximum, or a count of distinct texts. */
export interface AccumulatorSpec {
  combine: Combine;
  of: Expression<ReceivedEvent> | undefined;
  /** of a distinct one: how many texts are stored before they become a sketch; else 0 */
  exactUpTo: number;
}

/** The stored state of a window, as text. */
export interface WindowState {
  /** decimal numbers */
  accumulators: string[];
  /** the sets of the distinct accumulators, in their order */
  sets: string[];
}

/** The stored state of a window, and how to read its aggregates. */
export interface Layout {
  accumulators: readonly AccumulatorSpec[];
  /** whether no accumulator has an expression */
  onlyCounts: boolean;
  /** which accumulators have a set */
  distinct: readonly number[];
  /** the index of the accumulator of a count, sum, minimum, maximum or distinct count; undefined for other aggregates */
  indexOf(name: string): number | undefined;
  /** the aggregates by name, from the accumulators as decimal text */
  read(accumulators: readonly string[]): Record<string, number | string>;
  /** the names of the aggregates that are estimates */
  estimates(accumulators: readonly string[]): string[];
}

const combineOf = {
  count: 'add',
  sum: 'add',
  avg: 'add',
  min: 'min',
  max: 'max',
  distinct: 'distinct',
} as const;

/** The accumulators of the selected aggregates; equal ones are stored once (an average is a sum and a count). */
export function layoutOf(select: readonly Aggregate[]): Layout {
  const accumulators: AccumulatorSpec[] = [];
  const add = (added: AccumulatorSpec): number => {
    const found = accumulators.findIndex(
      ({ combine, of, exactUpTo }) =>
        combine === added.combine && of?.source === added.of?.source && exactUpTo === added.exactUpTo,
    );
    return found >= 0 ? found : accumulators.push(added) - 1;
  };
  const main = ({ kind, of, exactUpTo }: Aggregate): number | undefined =>
    kind === 'value' ? undefined : add({ combine: combineOf[kind], of, exactUpTo }); // a value belongs to one event
  const readers = select.flatMap((aggregate) => {
    const own = main(aggregate);
    if (own === undefined) return [];
    if (aggregate.kind !== 'avg') return [[aggregate.name, (values: readonly string[]) => values[own]!] as const];
    const count = add({ combine: 'add', of: undefined, exactUpTo: 0 });
    const read = (values: readonly string[]) => average(values[own]!, values[count]!, aggregate.scale);
    return [[aggregate.name, read] as const];
  });
  const counted = select
    .filter(({ kind }) => kind === 'distinct')
    .map((aggregate) => [aggregate, main(aggregate)!] as const);
  return {
    accumulators,
    onlyCounts: accumulators.every(({ of }) => of === undefined),
    distinct: accumulators.flatMap(({ combine }, i) => (combine === 'distinct' ? [i] : [])),
    indexOf(name) {
      const aggregate = select.find((selected) => selected.name === name);
      return aggregate && aggregate.kind !== 'avg' ? main(aggregate) : undefined;
    },
    read: (values) => Object.fromEntries(readers.map(([name, read]) => [name, toJson(read(values))])),
    estimates: (values) =>
      counted.filter(([{ exactUpTo }, own]) => Number(values[own]) > exactUpTo).map(([{ name }]) => name),
  };
}

/** Merges the states of two parts of a window. */
export function mergeStates(accumulators: readonly AccumulatorSpec[], a: WindowState, b: WindowState): WindowState {
  const { sets, counts } = mergeSets(accumulators, a.sets, b.sets);
  const merged = accumulators.map(({ combine }, i) =>
    combine === 'distinct' ? counts.get(i)! : combined(combine, a.accumulators[i]!, b.accumulators[i]!),
  );
  return { accumulators: merged, sets };
}

/** Merges the sets of two parts of a window. @returns also the value of each distinct accumulator */
export function mergeSets(
  accumulators: readonly AccumulatorSpec[],
  a: readonly string[],
  b: readonly string[],
): { sets: string[]; counts: ReadonlyMap<number, string> } {
  const sets: string[] = [];
  const counts = new Map<number, string>();
  for (const [i, { combine, exactUpTo }] of accumulators.entries()) {
    if (combine !== 'distinct') continue;
    const set = DistinctSet.parse(a[sets.length]!, exactUpTo);
    set.merge(DistinctSet.parse(b[sets.length]!, exactUpTo));
    sets.push(set.toString());
    counts.set(i, String(set.count()));
  }
  return { sets, counts };
}

function combined(combine: 'add' | 'min' | 'max', a: string, b: string): string {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  if (combine === 'add') return formatDecimal(addDecimals(left, right));
  return compareDecimals(left, right) < 0 === (combine === 'min') ? a : b;
}

/** The values of an event for each accumulator that has an expression. */
export type Inputs = readonly (number | bigint | string | undefined)[];

/** What a delta keeps of an event that it takes. */
export type Cause = Pick<ReceivedEvent, 'time' | 'traceparent'>;

/** Events of a batch that the same windows of a key take. */
export interface SharedEvents {
  events: number;
  /** those of them that are late for earlier windows */
  late: number;
}

/** The events of a batch in one window of one key. */
export class Delta {
  events = 0;
  /** of the last event, for the events that this delta causes */
  traceparent: string | undefined;
  /** when the latest event happened, in milliseconds since 1970 */
  latest = Number.NEGATIVE_INFINITY;
  /** of windows that overlap: the events whose last window this is, by the start of the first window that takes them */
  oldest: Map<number, SharedEvents> | undefined;
  readonly #parts: (ExactSum | Extreme | DistinctSet | undefined)[];

  constructor(accumulators: readonly AccumulatorSpec[]) {
    this.#parts = accumulators.map(({ combine, of, exactUpTo }) => {
      if (!of) return undefined; // a count: the number of events
      if (combine === 'distinct') return new DistinctSet(exactUpTo);
      return combine === 'add' ? new ExactSum() : new Extreme(combine);
    });
  }

  /** @param inputs of each accumulator that has an expression, in their order */
  add(inputs: Inputs, { time, traceparent }: Cause): void {
    this.events += 1;
    this.traceparent = traceparent;
    if (time > this.latest) this.latest = time;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input !== undefined) this.#parts[i]!.add(input as never); // it has the type of the accumulator
    }
  }

  /** Notes from which window on the windows up to this one take the last event, and whether it is late for those before. */
  noteOldest(start: number, late: boolean): void {
    this.oldest ??= new Map<number, SharedEvents>();
    let shared = this.oldest.get(start);
    if (!shared) this.oldest.set(start, (shared = { events: 0, late: 0 }));
    shared.events += 1;
    if (late) shared.late += 1;
  }

  /** Merges another delta of the same query into this one. */
  merge(other: Delta): void {
    this.events += other.events;
    this.traceparent = other.traceparent ?? this.traceparent;
    this.latest = Math.max(this.latest, other.latest);
    for (const [i, part] of this.#parts.entries()) part?.merge(other.#parts[i] as never); // both have the same accumulators
  }

  /** An accumulator as decimal text. */
  value(i: number): string {
    const part = this.#parts[i];
    if (part === undefined) return String(this.events);
    return part instanceof DistinctSet ? String(part.count()) : part.toString();
  }

  /** The state of a window that has only this delta. */
  state(): WindowState {
    return { accumulators: this.#parts.map((_, i) => this.value(i)), sets: this.sets() };
  }

  /** The sets of the distinct accumulators, in their order. */
  sets(): string[] {
    return this.#parts.filter((part) => part instanceof DistinctSet).map(String);
  }
}

class Extreme {
  #value: number | bigint | undefined;
  readonly #sign: 1 | -1;

  constructor(combine: 'min' | 'max') {
    this.#sign = combine === 'min' ? -1 : 1;
  }

  add(value: number | bigint): void {
    const beyond = this.#value === undefined || (this.#sign === 1 ? value > this.#value : value < this.#value);
    if (beyond) this.#value = value;
  }

  merge(other: Extreme): void {
    if (other.#value !== undefined) this.add(other.#value);
  }

  toString(): string {
    return String(this.#value ?? 0);
  }
}
