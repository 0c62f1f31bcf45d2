import type { TopicPartition } from '#platform/kafka';
import type { Item } from './item.ts';

/** Messages of one partition that follow each other, and how they move its offset. */
export interface Slice extends TopicPartition {
  /** the stored offset before */
  expected: bigint;
  /** and after */
  next: bigint;
  items: Item[];
}

/** What was committed of a partition. */
export interface Committed extends TopicPartition {
  /** the stored offset now */
  next: bigint;
  messages: number;
  /** when the events happened that had effects, in milliseconds since 1970 */
  times: number[];
  /** what there is more to do with: those with a span or a fault */
  items: Item[];
}

/** What an inbox gives its messages to. */
export interface Sink {
  /**
   * Takes the next messages of a partition.
   * @param lag how many messages of it are behind them
   * @returns false where they will not be committed: they are another member's, or the signal came first
   */
  write(slice: Slice, signal: AbortSignal, lag: number): Promise<boolean>;
  /** Resolves when nothing is being written. */
  idle(): Promise<void>;
  /** @throws while the database cannot be used */
  check(): void;
}

export function committedOf({ topic, partition, next, items }: Slice): Committed {
  return {
    topic,
    partition,
    next,
    messages: items.length,
    times: items.flatMap(({ event, fault }) => (event && !fault ? event.time : [])),
    items: items.filter(({ span, fault }) => span ?? fault),
  };
}

/** What is taken together: the first, and more of them in order while the sum of their sizes stays in the limit. */
export function fold<T>(waiting: readonly T[], sizeOf: (item: T) => number, limit: number): T[] {
  let sum = 0;
  const end = waiting.findIndex((item, i) => {
    sum += sizeOf(item);
    return i > 0 && sum > limit;
  });
  return waiting.slice(0, end < 0 ? waiting.length : end);
}

/** The two halves of a slice of at least two items; the second expects what the first stores. */
export function bisect(slice: Slice): [Slice, Slice] {
  const middle = Math.floor(slice.items.length / 2);
  const next = slice.items[middle]!.message.offset;
  return [
    { ...slice, next, items: slice.items.slice(0, middle) },
    { ...slice, expected: next, items: slice.items.slice(middle) },
  ];
}
