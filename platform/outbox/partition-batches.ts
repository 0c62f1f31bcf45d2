import { PlatformError } from '#platform/errors';
import { keyOf, murmur2, partitionOfHash, PartitionRecords } from '#platform/kafka';
import { recordBodies } from './record-batch.ts';
import type { OutboxRow } from './rows.ts';

/** Records of one send. */
export interface OutgoingBatch {
  records: PartitionRecords;
  /** how many records come from each row */
  counts: Map<OutboxRow, number>;
}

/** The sends to one partition, in their order. */
export interface PartitionBatches {
  topic: string;
  partition: number;
  batches: OutgoingBatch[];
}

/**
 * Distributes the records of record batches to their partitions. It decodes nothing but the keys.
 * @param rows in the order in which their records have to be sent
 * @param partitionsOf how many partitions each topic has
 * @param maxBytes of the records of a batch; a larger record is a batch of its own
 * @throws {PlatformError} ERR_OUTBOX_PACK where a record batch cannot be read
 */
export function toPartitionBatches(
  rows: readonly OutboxRow[],
  partitionsOf: ReadonlyMap<string, number>,
  maxBytes: number,
): PartitionBatches[] {
  const topics = new Map<string, PartitionBatches[]>();
  const bytes = rows.reduce((sum, { data }) => sum + data.length, 0);
  for (const row of rows) {
    const { topic, data } = row;
    const partitions = partitionsOf.get(topic)!;
    let own = topics.get(topic);
    if (!own)
      topics.set(
        topic,
        (own = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, batches: [] }))),
      );
    const expected = Math.ceil(Math.min(maxBytes, bytes / partitions)) + 32 * 1024;
    for (const { start, end } of recordBodies(data)) {
      const { batches } = own[partitionIn(data, { start, end }, partitions)]!;
      let batch = batches.at(-1);
      if (!batch || batch.records.size + end - start > maxBytes) {
        batch = { records: new PartitionRecords(expected), counts: new Map() };
        batches.push(batch);
      }
      batch.records.add(data, start, end);
      batch.counts.set(row, (batch.counts.get(row) ?? 0) + 1);
    }
  }
  return [...topics.values()].flat().filter(({ batches }) => batches.length > 0);
}

/** The partition of a record. @param body its byte range @throws where it has no key of its own */
export function partitionIn(data: Buffer, body: { start: number; end: number }, partitions: number): number {
  const key = keyOf(data, body.start);
  if (!(key.end <= body.end)) throw new PlatformError('ERR_OUTBOX_PACK', 'a record of the batch is malformed');
  return partitionOfHash(murmur2(data, key.start, key.end), partitions);
}
