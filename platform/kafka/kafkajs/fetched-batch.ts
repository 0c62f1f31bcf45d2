import { filterAbortedMessages } from '../record/aborted.ts';
import type { AbortedTransaction } from '../record/aborted.ts';
import type { FetchedRecords } from '../record/batches.ts';

/** A partition of a fetch, decoded. */
export interface FetchedPartition {
  partition: number;
  highWatermark: string;
  abortedTransactions: readonly AbortedTransaction[] | null;
  messages: FetchedRecords;
  /** why the brokers, or this process, give no records of it now */
  failure?: Error;
}

/** What a fetch brings of a partition; it replaces kafkajs's class `Batch`, whose methods it has as far as kafkajs uses them. */
export class FetchedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly fetchedOffset: string;
  readonly highWatermark: string;
  /** those for consumers: without control records and those of aborted transactions */
  readonly messages: FetchedRecords['messages'];
  readonly nextOffset: bigint;
  readonly failure: Error | undefined;

  constructor(topic: string, fetchedOffset: string, fetched: FetchedPartition) {
    const { partition, highWatermark, abortedTransactions, messages: records, failure } = fetched;
    this.topic = topic;
    this.partition = partition;
    this.fetchedOffset = fetchedOffset;
    this.highWatermark = highWatermark;
    const { messages } = records;
    this.messages = filterAbortedMessages({ messages, abortedTransactions }).filter((one) => !one.isControlRecord);
    this.nextOffset = records.nextOffset;
    this.failure = failure;
  }

  /** Whether the consumer has nothing to do with it. */
  isEmpty(): boolean {
    return this.messages.length === 0 && !this.failure;
  }

  /** Whether the position is to move nevertheless. */
  isEmptyDueToFiltering(): boolean {
    return this.isEmpty() && this.nextOffset > BigInt(this.fetchedOffset);
  }

  firstOffset(): string | null {
    return this.messages[0]?.offset.toString() ?? null;
  }

  lastOffset(): string {
    return String(this.nextOffset - 1n);
  }

  offsetLag(): string {
    return String(BigInt(this.highWatermark) - this.nextOffset);
  }

  offsetLagLow(): string {
    return this.offsetLag();
  }
}
