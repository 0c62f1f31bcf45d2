import type { PartitionOffset } from '#platform/contract';
import type { Watermarks } from '#platform/kafka';
import type { ConsumerPartOptions } from './handlers.ts';

/** how long to wait for Kafka: without an answer, the stored offsets alone are listed */
const kafkaMs = 2_000;

/** How far a group has read the partitions of its topics. */
export async function listOffsets({ group, topics, pool, kafka }: ConsumerPartOptions): Promise<PartitionOffset[]> {
  const { rows } = await pool.query<{ topic: string; partition: number; next: string }>(
    `SELECT topic, partition, next_offset AS next FROM millrace.inbox_offsets WHERE consumer_group = $1
     ORDER BY topic, partition`,
    [group],
  );
  const ends = new Map<string, Map<number, Watermarks>>();
  const ask = async (topic: string) => void ends.set(topic, await kafka.admin.watermarks(topic));
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(() => late.resolve(), kafkaMs);
  await Promise.race([Promise.allSettled(topics.map(ask)), late.promise]);
  clearTimeout(timer);
  return rows.map(({ topic, partition, next }) => {
    const end = ends.get(topic)?.get(partition)?.high;
    return {
      group,
      topic,
      topicId: null,
      partition,
      storedOffset: Number(next),
      endOffset: end === undefined ? null : Number(end),
      lag: end === undefined ? null : Math.max(0, Number(end - BigInt(next))),
      oldestUnreadSeconds: null,
    };
  });
}
