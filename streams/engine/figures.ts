import type { ReceivedEvent } from '#platform/contract';
import type { Expression, Figure } from '#streams/language';
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

/** How an accumulator takes in another one. A distinct one is the count of a set, which is kept beside it. */
export type Combine = 'add' | 'least' | 'greatest' | 'distinct';

/** One of the numbers kept for a window: a count (no expression), a sum, a minimum, a maximum, a count of different texts. */
export interface Accumulator {
  combine: Combine;
  of: Expression<ReceivedEvent> | undefined;
  /** of a distinct one: how many texts are kept before they become a sketch; else 0 */
  exactUpTo: number;
}

/** What is kept of a window, as text. */
export interface WindowState {
  /** decimal numbers */
  accumulators: string[];
  /** the sets of the distinct accumulators, in their order */
  sets: string[];
}

/** What a window keeps, and how its figures are read from that. */
export interface Layout {
  accumulators: readonly Accumulator[];
  /** whether no accumulator has an expression */
  onlyCounts: boolean;
  /** which accumulators have a set */
  distinct: readonly number[];
  /** which accumulator a count, sum, minimum, maximum or distinct count is; undefined for other figures */
  indexOf(name: string): number | undefined;
  /** the figures by name, from the accumulators as decimal text */
  read(accumulators: readonly string[]): Record<string, number | string>;
  /** the names of the figures that are estimates */
  estimates(accumulators: readonly string[]): string[];
}

const combineOf = {
  count: 'add',
  sum: 'add',
  avg: 'add',
  min: 'least',
  max: 'greatest',
  distinct: 'distinct',
} as const;

/** Lays out the accumulators of the selected figures; equal ones are kept once (an average is a sum and a count). */
export function layoutOf(select: readonly Figure[]): Layout {
  const accumulators: Accumulator[] = [];
  const place = (added: Accumulator): number => {
    const found = accumulators.findIndex(
      ({ combine, of, exactUpTo }) =>
        combine === added.combine && of?.source === added.of?.source && exactUpTo === added.exactUpTo,
    );
    return found >= 0 ? found : accumulators.push(added) - 1;
  };
  const main = ({ kind, of, exactUpTo }: Figure): number | undefined =>
    kind === 'value' ? undefined : place({ combine: combineOf[kind], of, exactUpTo }); // a value is an event's own
  const readers = select.flatMap((figure) => {
    const own = main(figure);
    if (own === undefined) return [];
    if (figure.kind !== 'avg') return [[figure.name, (values: readonly string[]) => values[own]!] as const];
    const count = place({ combine: 'add', of: undefined, exactUpTo: 0 });
    const read = (values: readonly string[]) => average(values[own]!, values[count]!, figure.scale);
    return [[figure.name, read] as const];
  });
  const counted = select.filter(({ kind }) => kind === 'distinct').map((figure) => [figure, main(figure)!] as const);
  return {
    accumulators,
    onlyCounts: accumulators.every(({ of }) => of === undefined),
    distinct: accumulators.flatMap(({ combine }, i) => (combine === 'distinct' ? [i] : [])),
    indexOf(name) {
      const figure = select.find((selected) => selected.name === name);
      return figure && figure.kind !== 'avg' ? main(figure) : undefined;
    },
    read: (values) => Object.fromEntries(readers.map(([name, read]) => [name, toJson(read(values))])),
    estimates: (values) =>
      counted.filter(([{ exactUpTo }, own]) => Number(values[own]) > exactUpTo).map(([{ name }]) => name),
  };
}

/** The state of a window from those of two parts of it. */
export function mergeStates(accumulators: readonly Accumulator[], a: WindowState, b: WindowState): WindowState {
  const { sets, counts } = mergeSets(accumulators, a.sets, b.sets);
  const merged = accumulators.map(({ combine }, i) =>
    combine === 'distinct' ? counts.get(i)! : combined(combine, a.accumulators[i]!, b.accumulators[i]!),
  );
  return { accumulators: merged, sets };
}

/** The sets of a window from those of two parts of it, and what each distinct accumulator then is. */
export function mergeSets(
  accumulators: readonly Accumulator[],
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

function combined(combine: 'add' | 'least' | 'greatest', a: string, b: string): string {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  if (combine === 'add') return formatDecimal(addDecimals(left, right));
  return compareDecimals(left, right) < 0 === (combine === 'least') ? a : b;
}

/** What an event brings to each accumulator that has an expression. */
export type Inputs = readonly (number | bigint | string | undefined)[];

/** What a batch adds to one window of one key. */
export class Delta {
  events = 0;
  /** of the last event, for what this delta causes */
  traceparent: string | undefined;
  readonly #parts: (ExactSum | Extreme | DistinctSet | undefined)[];

  constructor(accumulators: readonly Accumulator[]) {
    this.#parts = accumulators.map(({ combine, of, exactUpTo }) => {
      if (!of) return undefined; // a count: the number of events
      if (combine === 'distinct') return new DistinctSet(exactUpTo);
      return combine === 'add' ? new ExactSum() : new Extreme(combine);
    });
  }

  /** @param inputs of each accumulator that has an expression, in their order */
  add(inputs: Inputs): void {
    this.events += 1;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input !== undefined) this.#parts[i]!.add(input as never); // of the kind that the accumulator takes
    }
  }

  /** Takes in what another delta of the same query has. */
  merge(other: Delta): void {
    this.events += other.events;
    this.traceparent = other.traceparent ?? this.traceparent;
    for (const [i, part] of this.#parts.entries()) part?.merge(other.#parts[i] as never); // the same kind at each place
  }

  /** An accumulator as decimal text. */
  value(i: number): string {
    const part = this.#parts[i];
    if (part === undefined) return String(this.events);
    return part instanceof DistinctSet ? String(part.count()) : part.toString();
  }

  /** The state of a window that has this delta only. */
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

  constructor(combine: 'least' | 'greatest') {
    this.#sign = combine === 'least' ? -1 : 1;
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
