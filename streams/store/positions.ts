import type { Pool } from '#platform/postgres';

/** The state of a partition in the database: the next offset, and the watermark of each clock. */
export interface PartitionPosition {
  topic: string;
  partition: number;
  /** undefined before the first event is read */
  nextOffset: bigint | undefined;
  /** the id of the topic that it counts in, where it is known */
  topicId: string | undefined;
  watermarks: Map<string, { watermark: number; updatedAt: number }>;
}

/** The positions of a consumer group, with the database's time in milliseconds since 1970. */
export async function readPositions(
  pool: Pool,
  group: string,
): Promise<{ now: number; partitions: PartitionPosition[] }> {
  const { rows } = await pool.query<{
    now: Date;
    topic: string | null;
    partition: number;
    next_offset: string | null;
    topic_id: string | null;
    clock: string | null;
    watermark: Date;
    updated_at: Date;
  }>({
    name: 'positions-read',
    text: `SELECT clock_timestamp() AS now, topic, partition, next_offset, topic_id, clock, watermark, m.updated_at
      FROM (SELECT) AS one LEFT JOIN (
        (SELECT topic, partition, next_offset, topic_id FROM millrace.inbox_offsets WHERE consumer_group = $1) o
        FULL JOIN (SELECT * FROM stream_watermarks WHERE consumer_group = $1) m USING (topic, partition)) ON true`,
    values: [group],
  });
  const partitions = new Map<string, PartitionPosition>();
  for (const {
    topic,
    partition,
    next_offset: nextOffset,
    topic_id: topicId,
    clock,
    watermark,
    updated_at: updatedAt,
  } of rows) {
    if (topic === null) continue;
    const name = `${partition}:${topic}`;
    let position = partitions.get(name);
    if (!position) {
      position = {
        topic,
        partition,
        nextOffset: nextOffset === null ? undefined : BigInt(nextOffset),
        topicId: topicId ?? undefined,
        watermarks: new Map(),
      };
      partitions.set(name, position);
    }
    if (clock !== null) {
      position.watermarks.set(clock, { watermark: watermark.getTime(), updatedAt: updatedAt.getTime() });
    }
  }
  return { now: rows[0]!.now.getTime(), partitions: [...partitions.values()] };
}
