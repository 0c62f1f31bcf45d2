import { keyOf, murmur2, partitionOfHash, RecordBundle } from '#platform/kafka';
import { bodiesOf } from './pack.ts';
import type { OutboxRow } from './rows.ts';

/** What is sent to one partition at once, and how much of each row that is. */
export interface Bundle {
  records: RecordBundle;
  shares: Map<OutboxRow, number>;
  timestamp: number;
}

/** What goes to one partition, one behind the other. */
export interface PartitionBundles {
  topic: string;
  partition: number;
  bundles: Bundle[];
}

/**
 * Hands out the messages of packs to their partitions, without looking at more than their keys.
 * @param rows in the order in which their messages are to be sent
 * @param partitionsOf how many partitions a topic has
 * @param maxBytes beyond which another bundle begins
 */
export function bundlesOf(
  rows: readonly OutboxRow[],
  partitionsOf: ReadonlyMap<string, number>,
  maxBytes: number,
): PartitionBundles[] {
  const topics = new Map<string, PartitionBundles[]>();
  const bytes = rows.reduce((sum, { data }) => sum + data.length, 0);
  for (const row of rows) {
    const { topic, data } = row;
    const partitions = partitionsOf.get(topic)!;
    let own = topics.get(topic);
    if (!own)
      topics.set(
        topic,
        (own = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, bundles: [] }))),
      );
    const expected = Math.ceil(Math.min(maxBytes, bytes / partitions)) + 32 * 1024;
    for (const { start, end } of bodiesOf(data)) {
      const key = keyOf(data, start);
      const { bundles } = own[partitionOfHash(murmur2(data, key.start, key.end), partitions)]!;
      let bundle = bundles.at(-1);
      if (!bundle || bundle.records.size >= maxBytes) {
        bundle = { records: new RecordBundle(expected), shares: new Map(), timestamp: row.created_at.getTime() };
        bundles.push(bundle);
      }
      bundle.records.add(data, start, end);
      bundle.shares.set(row, (bundle.shares.get(row) ?? 0) + 1);
    }
  }
  return [...topics.values()].flat().filter(({ bundles }) => bundles.length > 0);
}
