import { toError } from '#platform/errors';
import type { Producer } from '#platform/kafka';
import { failSpan } from '#platform/telemetry';
import { bundlesOf } from './bundles.ts';
import { byPartition, cutByBytes, isPack, toOutgoing } from './rows.ts';
import type { OutboxRow, Outgoing } from './rows.ts';

/** Bytes of values sent at once: below the 1 MB that a broker takes by default. */
const maxSendBytes = 768 * 1024;

/**
 * Publishes rows: partitions concurrently, within a partition in order. What follows a failed send in its partition is not
 * tried, so that no event overtakes an earlier one of its key.
 * @param onPublished told how many messages went to a topic, and which rows are published with all that they hold
 * @returns the first failure, undefined where all went well
 */
export async function publish(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const failures = await Promise.all([
    publishSingle(
      producer,
      rows.filter((row) => !isPack(row)),
      onPublished,
    ),
    publishPacks(producer, rows.filter(isPack), onPublished),
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
        if (failure) continue; // the others' spans say so, too
        const published = part.map(({ row }) => row);
        onPublished(topic, published.length, published);
      }
      return failure;
    }),
  );
  return failures.find((failure) => failure !== undefined);
}

async function publishPacks(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, messages: number, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const topics = [...new Set(rows.map(({ topic }) => topic))];
  const counts = await Promise.all(topics.map(async (topic) => [topic, await producer.partitionsOf(topic)] as const));
  const partitions = bundlesOf(rows, new Map(counts), maxSendBytes);
  const missing = new Map<OutboxRow, number>();
  for (const { shares } of partitions.flatMap(({ bundles }) => bundles)) {
    for (const [row, count] of shares) missing.set(row, (missing.get(row) ?? 0) + count);
  }
  const failures = await Promise.all(
    partitions.map(async ({ topic, partition, bundles }) => {
      for (const { records, shares, timestamp } of bundles) {
        const { count, bytes } = records;
        const failure = await attempt(producer.send(topic, partition, { count, bytes, timestamp }));
        if (failure) return failure;
        const complete = [...shares].filter(([row, share]) => {
          const left = missing.get(row)! - share;
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
