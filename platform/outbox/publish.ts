import { toError } from '#platform/errors';
import type { Producer } from '#platform/kafka';
import { failSpan } from '#platform/telemetry';
import { toPartitionBatches } from './partition-batches.ts';
import { byPartition, cutByBytes, isRecordBatch, toOutgoing } from './rows.ts';
import type { OutboxRow, Outgoing } from './rows.ts';

/** The most bytes of values in one send: below the 1 MB that a broker accepts by default. */
const maxSendBytes = 768 * 1024;

/**
 * Publishes rows: partitions concurrently, within a partition in order. After a failed send it sends nothing more to the same
 * partition, so that no event overtakes an earlier one of its key.
 * @param onPublished gets the number of messages sent to a topic, and the rows whose messages are all published
 * @returns the first failure, undefined where there was none
 */
export async function publish(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const failures = await Promise.all([
    publishSingle(
      producer,
      rows.filter((row) => !isRecordBatch(row)),
      onPublished,
    ),
    publishRecordBatches(producer, rows.filter(isRecordBatch), onPublished),
  ]);
  return failures.find((failure) => failure !== undefined);
}

async function publishSingle(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const partitions = await Promise.all(rows.map((row) => producer.partitionFor(row.topic, row.key)));
  const batches = byPartition(rows.map(toOutgoing), partitions);
  const failures = await Promise.all(
    batches.map(async ({ topic, partition, items }) => {
      let failure: Error | undefined;
      for (const part of cutByBytes(items, maxSendBytes)) {
        const messages = part.map(({ message }) => message);
        failure ??= await attempt(producer.send(topic, partition, messages));
        for (const item of part) endSpan(item, failure);
        if (failure) continue; // the spans of the remaining items end with the failure, too
        const published = part.map(({ row }) => row);
        onPublished(topic, published.length, published);
      }
      return failure;
    }),
  );
  return failures.find((failure) => failure !== undefined);
}

async function publishRecordBatches(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  const partitionsOf = await Promise.all(
    topics.map(async (topic) => [topic, await producer.partitionsOf(topic)] as const),
  );
  const partitions = toPartitionBatches(rows, new Map(partitionsOf), maxSendBytes);
  const missing = new Map<OutboxRow, number>();
  for (const { counts } of partitions.flatMap(({ batches }) => batches)) {
    for (const [row, count] of counts) missing.set(row, (missing.get(row) ?? 0) + count);
  }
  const failures = await Promise.all(
    partitions.map(async ({ topic, partition, batches }) => {
      for (const { records, counts, timestamp } of batches) {
        const { count, bytes } = records;
        const failure = await attempt(producer.send(topic, partition, { count, bytes, timestamp }));
        if (failure) return failure;
        const complete = [...counts].filter(([row, sent]) => {
          const left = missing.get(row)! - sent;
          missing.set(row, left);
          return left === 0;
        });
        onPublished(
          topic,
          count,
          complete.map(([row]) => row),
        );
      }
      return undefined;
    }),
  );
  return failures.find((failure) => failure !== undefined);
}

async function attempt(sending: Promise<void>): Promise<Error | undefined> {
  try {
    await sending;
    return undefined;
  } catch (error) {
    return toError(error);
  }
}

function endSpan({ span }: Outgoing, failure: Error | undefined): void {
  if (!span) return;
  if (failure) failSpan(span, failure);
  else span.end();
}
