import type { ReceivedEvent } from '#platform/contract';
import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';

/** Events of a partition that follow each other; the offset behind them may lie further than the last one's. */
export interface Stretch extends TopicPartition {
  events: readonly ReceivedEvent[];
  /** the offset at which the next stretch of the partition begins */
  next: bigint;
}

/** The effects of events, gathered in memory until they are written in one transaction. */
export interface Accumulation {
  /** Takes events in; what it cannot use it counts, and never throws for. */
  add(stretch: Stretch): void;
  /**
   * Writes the effects in the transaction that moves the offsets; called again where that failed for a reason that passes.
   */
  write(tx: PoolClient): Promise<void>;
}

/** What turns events into effects piece by piece, so that many events share the rows that they change. */
export interface Accumulator {
  /** Reads what has to be known of a partition before events from an offset on can be taken in. */
  prepare(at: TopicPartition & { offset: bigint }): Promise<void>;
  begin(): Accumulation;
  /** Forgets what was taken in and will not be written: it is read again. */
  reset(): void;
}
