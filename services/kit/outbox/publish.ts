import type { Producer } from '../kafka/port.ts';
import { failSpan } from '../telemetry.ts';
import { byPartition, cutByBytes, toOutgoing } from './rows.ts';
import type { OutboxRow, Outgoing, PartitionBatch } from './rows.ts';

/** Bytes of values sent at once: below the 1 MB that a broker takes by default. */
const maxSendBytes = 768 * 1024;

/**
 * Publishes rows: partitions concurrently, within a partition in order. What follows a failed send in its partition is not
 * tried, so that no event overtakes an earlier one of its key.
 * @param onPublished told of the rows as they are acknowledged
 * @returns the first failure, undefined where all went well
 */
export async function publish(
  producer: Producer,
  rows: readonly OutboxRow[],
  onPublished: (topic: string, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  const partitions = await Promise.all(rows.map((row) => producer.partitionFor(row.topic, row.key)));
  const batches = byPartition(rows.map(toOutgoing), partitions);
  const failures = await Promise.all(batches.map((batch) => publishBatch(producer, batch, onPublished)));
  return failures.find((failure) => failure !== undefined);
}

async function publishBatch(
  producer: Producer,
  { topic, partition, items }: PartitionBatch,
  onPublished: (topic: string, rows: OutboxRow[]) => void,
): Promise<Error | undefined> {
  let failure: Error | undefined;
  for (const part of cutByBytes(items, maxSendBytes)) {
    if (!failure) {
      try {
        await producer.send(
          topic,
          partition,
          part.map((item) => item.message),
        );
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }
    for (const item of part) endSpan(item, failure);
    if (!failure)
      onPublished(
        topic,
        part.map((item) => item.row),
      );
  }
  return failure;
}

function endSpan({ span }: Outgoing, failure: Error | undefined): void {
  if (!span) return;
  if (failure) failSpan(span, failure);
  else span.end();
}
