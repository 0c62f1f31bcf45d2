import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import type { Expression } from '../query/expression.ts';
import type { Figure } from '../query/stream-query.ts';
import { ExactSum, addDecimals, average, compareDecimals, formatDecimal, parseDecimal, toJson } from './decimal.ts';

/** How an accumulator takes in another one. */
export type Combine = 'add' | 'least' | 'greatest';

/** One of the numbers kept for a window: a count (no expression), a sum, a minimum or a maximum. */
export interface Accumulator {
  combine: Combine;
  of: Expression<ReceivedEvent> | undefined;
}

/** What a window keeps, and how its figures are read from that. */
export interface Layout {
  accumulators: readonly Accumulator[];
  /** whether no accumulator has an expression */
  onlyCounts: boolean;
  /** which accumulator a count, sum, minimum or maximum is; undefined for other figures */
  indexOf(name: string): number | undefined;
  /** the figures by name, from the accumulators as decimal text */
  read(accumulators: readonly string[]): Record<string, number | string>;
}

const combineOf = { count: 'add', sum: 'add', avg: 'add', min: 'least', max: 'greatest' } as const;

/** Lays out the accumulators of the selected figures; equal ones are kept once (an average is a sum and a count). */
export function layoutOf(select: readonly Figure[]): Layout {
  const accumulators: Accumulator[] = [];
  const place = (combine: Combine, of: Expression<ReceivedEvent> | undefined): number => {
    const found = accumulators.findIndex((other) => other.combine === combine && other.of?.source === of?.source);
    return found >= 0 ? found : accumulators.push({ combine, of }) - 1;
  };
  const readers = select.flatMap(({ name, kind, of, scale }) => {
    if (kind === 'value') return []; // of an event by itself: nothing is kept
    const main = place(combineOf[kind], of);
    if (kind !== 'avg') return [[name, (values: readonly string[]) => values[main]!] as const];
    const count = place('add', undefined);
    return [[name, (values: readonly string[]) => average(values[main]!, values[count]!, scale)] as const];
  });
  return {
    accumulators,
    onlyCounts: accumulators.every(({ of }) => of === undefined),
    indexOf(name) {
      const figure = select.find((selected) => selected.name === name);
      return figure && figure.kind !== 'avg' && figure.kind !== 'value'
        ? place(combineOf[figure.kind], figure.of)
        : undefined;
    },
    read: (values) => Object.fromEntries(readers.map(([name, read]) => [name, toJson(read(values))])),
  };
}

/** One accumulator from two, all as decimal text. */
export function combined(combine: Combine, a: string, b: string): string {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  if (combine === 'add') return formatDecimal(addDecimals(left, right));
  return compareDecimals(left, right) < 0 === (combine === 'least') ? a : b;
}

/** What a batch adds to one window of one key. */
export class Delta {
  events = 0;
  /** of the last event, for what this delta causes */
  traceparent: string | undefined;
  readonly #parts: (ExactSum | Extreme | undefined)[];

  constructor(accumulators: readonly Accumulator[]) {
    this.#parts = accumulators.map(({ combine, of }) => {
      if (!of) return undefined; // a count: the number of events
      return combine === 'add' ? new ExactSum() : new Extreme(combine);
    });
  }

  /** @param inputs the number of each accumulator that has an expression, in their order */
  add(inputs: readonly (number | bigint | undefined)[]): void {
    this.events += 1;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i];
      if (input !== undefined) this.#parts[i]!.add(input);
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
    return this.#parts[i] === undefined ? String(this.events) : this.#parts[i].toString();
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
