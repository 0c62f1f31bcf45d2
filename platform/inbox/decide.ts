import { readTopicLog } from '#platform/kafka';
import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import { setApart } from './dead-letter-row.ts';

/** Where a group goes on with a topic that it cannot read: at the start or at the end of its log. */
export type OffsetDecision = 'restart' | 'end';

/**
 * Decides where a group reads a topic from. Its running inbox follows within some seconds.
 * @param pool of the database that holds the group's offsets
 * @returns the offsets that the group goes on at, by partition, but those without a leader; empty if the group has none in this database
 */
export async function decideOffsets(
  { pool, admin }: { pool: Pool; admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'> },
  { group, topic, decision }: { group: string; topic: string; decision: OffsetDecision },
): Promise<Map<number, bigint>> {
  const { topicId, watermarks } = await readTopicLog(admin, topic, (name) => admin.knownWatermarks(name));
  const offsets = new Map(
    [...watermarks].flatMap(([partition, marks]): [number, bigint][] =>
      marks ? [[partition, decision === 'restart' ? marks.low : marks.high]] : [],
    ),
  );
  const { rows } = await pool.query<{ partition: number }>(
    `WITH decided AS (
       UPDATE millrace.inbox_offsets o SET next_offset = d.next_offset, topic_id = $3, updated_at = now()
       FROM unnest($4::int[], $5::bigint[]) AS d(partition, next_offset) JOIN (
         SELECT partition, topic_id FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = $2 FOR UPDATE
       ) before USING (partition)
       WHERE o.consumer_group = $1 AND o.topic = $2 AND o.partition = d.partition
       RETURNING o.topic, o.partition, before.topic_id),
     moved AS (SELECT topic, partition FROM decided WHERE topic_id <> $3),
     apart AS (${setApart})
     SELECT partition FROM decided`,
    [group, topic, topicId ?? null, [...offsets.keys()], [...offsets.values()].map(String)],
  );
  return new Map(rows.map(({ partition }) => [partition, offsets.get(partition)!]));
}
