import { readTopicLog } from '#platform/kafka';
import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import { setApart } from './dead-letter-row.ts';

/** Where a group goes on with a topic that it cannot read: at the start or at the end of its log. */
export type OffsetDecision = 'restart' | 'end';

/**
 * Decides where a group reads the partitions of a topic from that it cannot read: those that count in another topic, or end before its
 * offset. The others go on, unless `all` are decided. Its running inbox follows within some seconds.
 * @param pool of the database that holds the group's offsets
 * @returns the offsets that the group goes on at, by partition, but those without a leader; empty if it can read all of them; undefined if
 * it has none in this database
 */
export async function decideOffsets(
  { pool, admin }: { pool: Pool; admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'> },
  { group, topic, decision, all = false }: { group: string; topic: string; decision: OffsetDecision; all?: boolean },
): Promise<Map<number, bigint> | undefined> {
  const { topicId, watermarks } = await readTopicLog(admin, topic, (name) => admin.knownWatermarks(name));
  const led = [...watermarks].flatMap(([partition, marks]) => (marks ? [{ partition, ...marks }] : []));
  const { rows } = await pool.query<{ partition: number; next: string } | { partition: null }>(
    `WITH decided AS (
       UPDATE millrace.inbox_offsets o SET next_offset = d.next_offset, topic_id = $3, updated_at = now()
       FROM unnest($4::int[], $5::bigint[], $6::bigint[]) AS d(partition, next_offset, high) JOIN (
         SELECT partition, topic_id, next_offset FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = $2 FOR UPDATE
       ) before USING (partition)
       WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = d.partition
         AND ($7 OR before.topic_id <> $3 OR before.next_offset > d.high)
       RETURNING o.topic, o.partition, o.next_offset, before.topic_id),
     moved AS (SELECT topic, partition FROM decided WHERE topic_id <> $3),
     apart AS (${setApart})
     SELECT d.partition, d.next_offset AS next FROM (SELECT FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = $2 LIMIT 1) known
     LEFT JOIN decided d ON true`,
    [
      group,
      topic,
      topicId ?? null,
      led.map(({ partition }) => partition),
      led.map(({ low, high }) => String(decision === 'restart' ? low : high)),
      led.map(({ high }) => String(high)),
      all,
    ],
  );
  if (rows.length === 0) return undefined;
  return new Map(rows.flatMap((row) => (row.partition === null ? [] : [[row.partition, BigInt(row.next)]])));
}
