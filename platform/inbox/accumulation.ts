import type { ReceivedEvent } from '#platform/contract';
import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';

/** Consecutive events of a partition. */
export interface PartitionEvents extends TopicPartition {
  events: readonly ReceivedEvent[];
  /** the offset at which the next events of the partition begin: after the last event, or further */
  next: bigint;
}

/** The effects of events, collected in memory until one transaction writes them. */
export interface Accumulation {
  /** Accepts events. It counts the events that it cannot use; it never throws. */
  add(events: PartitionEvents): void;
  /** Writes the effects in the transaction that moves the offsets; called again after a transient failure. */
  write(tx: PoolClient): Promise<void>;
}

/** Turns events into effects in memory, so that many events share one update of a row. */
export interface Accumulator {
  /** Loads the state of a partition that its events from this offset on need. */
  prepare(at: TopicPartition & { offset: bigint }): Promise<void>;
  begin(): Accumulation;
  /** Forgets the events that were discarded: they are read again. */
  reset(): void;
}
