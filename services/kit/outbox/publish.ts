import type { Producer } from '../kafka/port.ts';
import { failSpan } from '../telemetry.ts';
import { byPartition, cutByBytes, toOutgoing } from './rows.ts';
import type { OutboxRow, Outgoing, PartitionBatch } from './rows.ts';

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
  const items = rows.flatMap(toOutgoing);
  const missing = new Map<OutboxRow, number>();
  for (const { row } of items) missing.set(row, (missing.get(row) ?? 0) + 1);
  const partitions = await Promise.all(items.map(({ row, message }) => producer.partitionFor(row.topic, message.key)));
  const acknowledge = (topic: string, sent: readonly Outgoing[]) => {
    const complete: OutboxRow[] = [];
    for (const { row } of sent) {
      const left = missing.get(row)! - 1;
      missing.set(row, left);
      if (left === 0) complete.push(row);
    }
    onPublished(topic, sent.length, complete);
  };
  const batches = byPartition(items, partitions);
  const failures = await Promise.all(batches.map((batch) => publishBatch(producer, batch, acknowledge)));
  return failures.find((failure) => failure !== undefined);
}

async function publishBatch(
  producer: Producer,
  { topic, partition, items }: PartitionBatch,
  acknowledge: (topic: string, sent: readonly Outgoing[]) => void,
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
    if (!failure) acknowledge(topic, part);
  }
  return failure;
}

function endSpan({ span }: Outgoing, failure: Error | undefined): void {
  if (!span) return;
  if (failure) failSpan(span, failure);
  else span.end();
}
