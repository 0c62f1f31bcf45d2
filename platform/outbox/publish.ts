import { toError } from '#platform/errors';
import { errorCodeOf, isTopicName, partitionOf, PartitionRecords, refusalOf } from '#platform/kafka';
import type { Producer, Refusal, TopicPartition } from '#platform/kafka';
import { failSpan } from '#platform/telemetry';
import type { FailingPartitions } from './failing-partitions.ts';
import { encodeBatches, encodeRows } from './encode.ts';
import { partitionIn } from './partition-batches.ts';
import type { PartitionBatches } from './partition-batches.ts';
import { bodyHead } from './record-batch.ts';
import { behind } from './refused.ts';
import type { Refused } from './refused.ts';
import { byPartition, cutByBytes, isRecordBatch, messagesOf } from './rows.ts';
import type { OutboxRow, Outgoing } from './rows.ts';
import type { Tally } from './tally.ts';
import { isHeld } from './topic-partitions.ts';

/** The most bytes of values in one send: below the 1 MB that a broker accepts by default. */
const maxSendBytes = 768 * 1024;

/** The most bytes that a record has before its body. */
const recordHead = 16;

/** How long a parked message may be attempted again at once, in milliseconds: meanwhile the relay publishes nothing else. */
const parkedRetryMs = 500;

/** What failed and can succeed later, and what Kafka refuses. */
export interface Outcome {
  /** the first failure */
  failure: Error | undefined;
  refused: Refused[];
}

/** Where and how messages are published. */
export interface Publication {
  producer: Producer;
  /** over how many partitions the events of a topic are spread @throws where that is not known, or while they are held */
  partitionsOf: (topic: string) => Promise<number>;
  failing: FailingPartitions;
  /** whether the rows are parked ones */
  isRetry: boolean;
  /** whether each message gets the id of its row */
  isNumbered: boolean;
  tally: Tally;
  /** the time that the records get, in milliseconds since 1970 */
  now: () => number;
  /** gets the offset of the first of the messages that a partition has acknowledged */
  onAppended: (to: TopicPartition, first: bigint, count: number) => void;
  /** gets the number of messages sent to a topic, and the rows whose messages are all settled */
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void;
}

/**
 * Publishes rows: partitions concurrently, within a partition in order. After a failed send it sends nothing more to the same
 * partition, so that no event overtakes an earlier one of its key. Where Kafka refuses messages, it finds the single ones, holds
 * back the later ones of their keys, and sends the others. A partition that fails while others take messages refuses all of them.
 */
export async function publish(rows: readonly OutboxRow[], publication: Publication): Promise<Outcome> {
  const { tally } = publication;
  const outcome: Outcome = { failure: undefined, refused: [] };
  const partitionsOf = await findTopics(rows, publication, outcome);
  const known = partitionsOf.size === 0 ? [] : rows.filter((row) => partitionsOf.has(row.topic));
  const unbatched = known.filter((row) => !isRecordBatch(row));
  const { isNumbered } = publication;
  const single = encodeRows(unbatched, { isNumbered, refused: outcome.refused });
  const partitions = single.map(({ row }) => partitionOf(row.key, partitionsOf.get(row.topic)!));
  const toPartitions = { partitionsOf, maxBytes: maxSendBytes, tally, refused: outcome.refused };
  const { batches, outgoing } = encodeBatches(known.filter(isRecordBatch), toPartitions);
  for (const { counts } of outgoing.flatMap((partition) => partition.batches))
    for (const [row, count] of counts) if (row.part === undefined) tally.expect(row, count);
  await Promise.all([
    ...byPartition(single, partitions).map((messages) =>
      new PartitionSender(messages, publication, outcome).sendMessages(messages.items),
    ),
    ...outgoing.map((partition) =>
      new PartitionSender(partition, publication, outcome).sendBatches(
        partition,
        batches,
        partitionsOf.get(partition.topic)!,
      ),
    ),
  ]);
  return outcome;
}

/** Over how many partitions the events of topics are spread. The rows of a refused topic are refused. */
async function findTopics(rows: readonly OutboxRow[], publication: Publication, outcome: Outcome) {
  const { failing, isRetry, partitionsOf } = publication;
  const found = new Map<string, number>();
  const topics = new Set(rows.map(({ topic }) => topic));
  const refuse = (topic: string, refusal: Omit<Refused, 'row'>) => {
    for (const row of rows) if (row.topic === topic) outcome.refused.push({ row, ...refusal });
  };
  await Promise.all(
    [...topics].map(async (topic) => {
      if (!isTopicName(topic)) return refuse(topic, { of: 'topic', reason: 'no topic has this name', tried: true });
      const known = failing.refusalOf({ topic }, isRetry);
      if (known) return refuse(topic, { ...known, tried: false });
      try {
        found.set(topic, await partitionsOf(topic));
      } catch (error) {
        if (isHeld(error)) return refuse(topic, { of: 'topic', reason: error.message, tried: false });
        // without a code of a broker it is no fault of the topic
        const refusal = refusalOf(error) ?? (errorCodeOf(error) && failing.failed({ topic }, error));
        if (refusal) refuse(topic, { ...refusal, tried: true });
        else outcome.failure ??= toError(error);
      }
    }),
  );
  return found;
}

/** Sends messages to one partition, in their order. */
class PartitionSender {
  readonly #to: TopicPartition;
  readonly #publication: Publication;
  readonly #outcome: Outcome;
  /** why every message of the partition is refused */
  #refusal: Omit<Refused, 'row'> | undefined;
  /** the keys of refused messages */
  readonly #held = new Set<string>();

  constructor(to: TopicPartition, publication: Publication, outcome: Outcome) {
    this.#to = to;
    this.#publication = publication;
    this.#outcome = outcome;
    const { failing, isRetry } = publication;
    const refusal = failing.refusalOf(to, isRetry);
    if (refusal) this.#refusal = { ...refusal, tried: false };
  }

  async sendMessages(items: readonly Outgoing[]): Promise<void> {
    const failure = await this.#sendParts(items, async (part) => {
      const timestamp = this.#publication.now();
      await this.#send(part.map(({ message }) => ({ ...message, timestamp })));
      for (const item of part) {
        item.span?.end();
        item.span = undefined;
      }
    });
    for (const { span } of items)
      if (span) failSpan(span, failure ?? this.#refusal?.reason ?? 'Kafka refuses the event');
  }

  /** @param rows those with the records of the batches, in their order */
  async sendBatches({ batches }: PartitionBatches, rows: readonly OutboxRow[], partitions: number): Promise<void> {
    let sent = 0;
    const sendRest = () => this.#sendRecords(this.#recordsOf(rows, partitions).slice(sent));
    if (this.#refusal) return sendRest();
    for (const { records, counts } of batches) {
      const { count, bytes } = records;
      const failure = await attempt(this.#send({ count, bytes, timestamp: this.#publication.now() }));
      if (failure) {
        if (refusalOf(failure) || this.#giveUp(failure)) return sendRest();
        this.#outcome.failure ??= failure;
        return undefined;
      }
      sent += count;
      const { tally, onPublished } = this.#publication;
      const settled = [...counts].filter(([row, own]) => tally.settle(row, own)).map(([row]) => row.whole ?? row);
      onPublished(this.#to.topic, count, settled);
    }
    return undefined;
  }

  /** The records of this partition, each as a row. */
  #recordsOf(rows: readonly OutboxRow[], partitions: number): { row: OutboxRow }[] {
    const { topic, partition } = this.#to;
    return rows
      .filter((row) => row.topic === topic)
      .flatMap(messagesOf)
      .filter(({ data }) => partitionIn(data, { start: bodyHead, end: data.length }, partitions) === partition)
      .map((row) => ({ row }));
  }

  async #sendRecords(items: readonly { row: OutboxRow }[]): Promise<void> {
    await this.#sendParts(items, (part) => {
      const records = new PartitionRecords(part.reduce((sum, { row }) => sum + row.data.length + recordHead, 0));
      for (const { row } of part) records.add(row.data, bodyHead, row.data.length);
      const { count, bytes } = records;
      return this.#send({ count, bytes, timestamp: this.#publication.now() });
    });
  }

  /** @returns what failed and can succeed later */
  async #sendParts<T extends { row: OutboxRow }>(items: readonly T[], send: (part: readonly T[]) => Promise<void>) {
    for (const part of cutByBytes(items, maxSendBytes)) {
      const failure = await this.#sendApart(part, send);
      if (!failure) continue;
      this.#outcome.failure ??= failure;
      return failure;
    }
    return undefined;
  }

  /** Sends messages together, or, if Kafka refuses one of them, in halves, down to the one that it refuses. */
  async #sendApart<T extends { row: OutboxRow }>(
    items: readonly T[],
    send: (part: readonly T[]) => Promise<void>,
  ): Promise<Error | undefined> {
    const isRefusing = this.#refusal !== undefined || this.#held.size > 0;
    const part = isRefusing ? items.filter(({ row }) => this.#isFree(row)) : items;
    if (part.length === 0) return undefined;
    const failure = await attempt(send(part));
    if (!failure) {
      const { tally, onPublished } = this.#publication;
      const settled = part.filter(({ row }) => tally.settle(row)).map(({ row }) => row.whole ?? row);
      onPublished(this.#to.topic, part.length, settled);
      return undefined;
    }
    const refusal = refusalOf(failure) ?? this.#giveUp(failure);
    if (!refusal) return failure;
    if (this.#refusal === undefined && refusal.of === 'message' && part.length > 1) {
      const half = part.length >> 1;
      return (await this.#sendApart(part.slice(0, half), send)) ?? this.#sendApart(part.slice(half), send);
    }
    if (refusal.of === 'topic') this.#refusal = { ...refusal, tried: true };
    for (const { row } of part) {
      this.#held.add(row.key);
      this.#outcome.refused.push({ row, tried: true, ...refusal });
    }
    return undefined;
  }

  /** Whether a message may be sent; otherwise it is refused, too. */
  #isFree(row: OutboxRow): boolean {
    if (this.#refusal) this.#outcome.refused.push({ row, ...this.#refusal });
    else if (this.#held.has(row.key)) this.#outcome.refused.push(behind(row));
    else return true;
    return false;
  }

  /** Refuses the rest of the messages where the partition has failed for long. */
  #giveUp(failure: Error): Refusal | undefined {
    const refusal = this.#publication.failing.failed(this.#to, failure);
    if (refusal) this.#refusal = { ...refusal, tried: true };
    return refusal;
  }

  async #send(messages: Parameters<Producer['send']>[2]): Promise<void> {
    const { topic, partition } = this.#to;
    const { producer, failing, isRetry, onAppended } = this.#publication;
    const first = await producer.send(topic, partition, messages, isRetry ? { retryMs: parkedRetryMs } : {});
    failing.took(this.#to);
    onAppended(this.#to, first, 'bytes' in messages ? messages.count : messages.length);
  }
}

async function attempt(sending: Promise<void>): Promise<Error | undefined> {
  try {
    await sending;
    return undefined;
  } catch (error) {
    return toError(error);
  }
}
