import type { TopicPartition } from '#platform/kafka';
import { isHandled } from './item.ts';
import type { Item } from './item.ts';
import type { Move } from './offsets.ts';

/** Consecutive messages of one partition, and how they move its offset. */
export interface PartitionBatch extends Move {
  items: Item[];
}

/** The committed messages of a partition. */
export interface Committed extends TopicPartition {
  /** the stored offset after the commit */
  next: bigint;
  messages: number;
  /** the times of the events that were handled, in milliseconds since 1970 */
  times: number[];
  /** the items that are traced, failed, waiting, or tombstones */
  items: Item[];
}

/** Whether a commit has more to do with an item than to count it. */
export const isNotable = ({ event, span, failure, isWaiting }: Item) =>
  event === undefined || span !== undefined || failure !== undefined || isWaiting === true;

/** Writes the messages of an inbox. */
export interface Sink {
  /**
   * Accepts the next messages of a partition.
   * @param lag how many messages of the partition follow them
   * @returns false where the messages are discarded: another member has processed them, or the signal came first
   */
  write(batch: PartitionBatch, signal: AbortSignal, lag: number): Promise<boolean>;
  /** Resolves when nothing is being written. */
  idle(): Promise<void>;
  /** @throws while the database is unavailable */
  check(): void;
}

export function committedOf({ topic, partition, next, items }: PartitionBatch): Committed {
  return {
    topic,
    partition,
    next,
    messages: items.length,
    times: items.flatMap((item) => (isHandled(item) ? item.event!.time : [])),
    items: items.filter(isNotable),
  };
}

/** The first of the waiting items, and those that follow it while the sum of their sizes is within the limit. */
export function takeUpTo<T>(waiting: readonly T[], sizeOf: (item: T) => number, limit: number): T[] {
  let sum = 0;
  const end = waiting.findIndex((item, i) => {
    sum += sizeOf(item);
    return i > 0 && sum > limit;
  });
  return waiting.slice(0, end < 0 ? waiting.length : end);
}

/** Divides a batch of at least two items: the second half expects the offset that the first half stores. */
export function bisect(batch: PartitionBatch): [PartitionBatch, PartitionBatch] {
  const middle = Math.floor(batch.items.length / 2);
  const next = batch.items[middle]!.message.offset;
  return [
    { ...batch, next, items: batch.items.slice(0, middle) },
    { ...batch, expected: next, items: batch.items.slice(middle) },
  ];
}
