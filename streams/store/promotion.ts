import { isPending, OffsetsMoved, truncatedMark } from '#platform/inbox';
import type { TopicPartition } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Versions } from '#streams/engine';
import { lockVersionsExclusive, nextEpoch } from './versions.ts';

/** A partition, and the backfill's next offset in it. */
export type BackfillOffset = TopicPartition & { next: bigint };

/**
 * Locks the live group's offsets in the partitions in which it has not passed the backfill, until the transaction ends. Offsets of
 * a topic and of an earlier one of its name cannot be compared: there is neither before the other.
 * @returns these partitions
 */
export async function lockLagging(
  tx: PoolClient,
  group: string,
  partitions: readonly BackfillOffset[],
): Promise<BackfillOffset[]> {
  if (partitions.length === 0) return [];
  const { rows } = await tx.query<TopicPartition>({
    name: 'members-hold-behind',
    text: `SELECT o.topic, o.partition FROM millrace.inbox_offsets o
      JOIN unnest($2::text[], $3::int[], $4::bigint[]) AS r(topic, partition, next)
        ON o.topic = r.topic AND o.partition = r.partition
      JOIN millrace.inbox_offsets b ON b.consumer_group = $5 AND b.topic = o.topic AND b.partition = o.partition
      WHERE o.consumer_group = $1 AND o.next_offset <= r.next AND coalesce(o.topic_id = b.topic_id, true)
      ORDER BY o.topic, o.partition FOR UPDATE OF o`,
    values: [
      group,
      partitions.map(({ topic }) => topic),
      partitions.map(({ partition }) => partition),
      partitions.map(({ next }) => next),
      backfillGroup(group),
    ],
  });
  return partitions.filter((at) =>
    rows.some(({ topic, partition }) => topic === at.topic && partition === at.partition),
  );
}

/**
 * Locks the offsets of both groups in the partitions in which the backfill has caught up with the live group, until the
 * transaction ends. @returns these partitions
 */
export async function lockCaughtUp(tx: PoolClient, group: string): Promise<BackfillOffset[]> {
  const { rows } = await tx.query<TopicPartition & { next: string }>(
    `SELECT b.topic, b.partition, b.next_offset::text AS next FROM millrace.inbox_offsets b
     JOIN millrace.inbox_offsets o ON o.consumer_group = $1 AND o.topic = b.topic AND o.partition = b.partition
     WHERE b.consumer_group = $2 AND b.next_offset >= o.next_offset
       AND EXISTS (SELECT FROM stream_members m
                   WHERE m.consumer_group = $2 AND m.topic = b.topic AND m.partition = b.partition)
     ORDER BY b.topic, b.partition FOR UPDATE OF b`,
    [group, backfillGroup(group)],
  );
  return lockLagging(
    tx,
    group,
    rows.map(({ topic, partition, next }) => ({ topic, partition, next: BigInt(next) })),
  );
}

/** The starts that say nothing any more: the live group has passed them, or they are of an earlier topic of that name. */
const isOver = `(m.consumer_group = $1 AND m.from_offset <= o.next_offset OR m.topic_id <> o.topic_id)`;
const membersWithOffsets = `stream_members m JOIN millrace.inbox_offsets o
  ON o.consumer_group = m.consumer_group AND o.topic = m.topic AND o.partition = m.partition`;

/**
 * Forgets from which offsets on versions take the events of the live group, where this has passed them. Otherwise they would skip
 * the events up to such an offset in a topic that is created again, or whose log loses its end. What stays is which of the group's
 * dead letters before such an offset a version has from its backfill: their replay must not bring it these again. Where a group reads a
 * topic that was created again, versions that were to begin further on begin with its first event.
 */
export async function forgetStarts(pool: Pool, group: string): Promise<void> {
  const values = [group, backfillGroup(group)];
  const { rowCount } = await pool.query(
    `SELECT FROM ${membersWithOffsets} WHERE m.consumer_group IN ($1, $2) AND ${isOver} LIMIT 1`,
    values,
  );
  if (!rowCount) return; // most often: the lock would hold up every batch
  await transaction(pool, async (tx) => {
    await lockVersionsExclusive(tx);
    // one statement sees an offset together with the dead letters before it
    const { rowCount: forgotten } = await tx.query(
      `WITH over AS (
         SELECT m.*, o.topic_id AS present_id,
           coalesce(m.topic_id <> o.topic_id AND $3 || m.topic_id <> o.topic_id, false) AS is_earlier
         FROM ${membersWithOffsets} WHERE m.consumer_group IN ($1, $2) AND ${isOver}),
       forgotten AS (
         DELETE FROM stream_members m USING over s WHERE s.consumer_group = $1
           AND m.query_id = s.query_id AND m.topic = s.topic AND m.partition = s.partition),
       begun AS (
         UPDATE stream_members m SET from_offset = 0, topic_id = s.present_id FROM over s WHERE s.consumer_group = $2
           AND m.query_id = s.query_id AND m.topic = s.topic AND m.partition = s.partition),
       skipped AS (
         DELETE FROM stream_letters l USING over s
         WHERE l.query_id = s.query_id AND l.topic = s.topic AND l.partition = s.partition AND NOT l.is_taken),
       noted AS (
         INSERT INTO stream_letters (query_id, topic, partition, "offset", is_taken)
         SELECT s.query_id, d.topic, d.partition, coalesce(d.earlier_offset, d."offset"), true
         FROM over s JOIN millrace.dead_letters d
           ON d.consumer_group = s.consumer_group AND d.topic = s.topic AND d.partition = s.partition
         WHERE s.consumer_group = $1 AND ${isPending} AND (d.earlier_offset IS NOT NULL) = s.is_earlier
           AND coalesce(d.earlier_offset, d."offset") < s.from_offset
           AND NOT EXISTS (
             SELECT FROM stream_letters l WHERE l.query_id = s.query_id AND l.topic = d.topic AND l.partition = d.partition
               AND l."offset" = coalesce(d.earlier_offset, d."offset"))
         ON CONFLICT DO NOTHING)
       SELECT FROM over`,
      [...values, truncatedMark], // of a log that ends too early, the dead letters are not set apart yet
    );
    if (forgotten) await nextEpoch(tx);
  });
}

/**
 * Checks that the offsets from which on versions take the events of partitions are of the topic that the group reads. The group's
 * offsets must be locked. @throws OffsetsMoved for those of an earlier one, which have to be forgotten first
 */
export async function assertStartsCount(
  tx: PoolClient,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<void> {
  const { rows } = await tx.query<TopicPartition>(
    `SELECT DISTINCT m.topic, m.partition FROM ${membersWithOffsets} WHERE m.consumer_group = $1 AND m.topic_id <> o.topic_id
       AND (m.topic, m.partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))`,
    [group, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
  );
  if (rows.length > 0) throw new OffsetsMoved(rows, 'versions of stream queries begin at offsets of an earlier topic');
}

/**
 * Moves versions that are being built from the backfill to the live group, from the backfill's offset on. The offsets of the
 * live group must be locked, and must not be higher. If they are lower, the versions ignore the events up to the backfill's
 * offset. @returns whether there were any
 */
export async function promote(
  tx: PoolClient,
  versions: Versions,
  partitions: readonly BackfillOffset[],
): Promise<boolean> {
  const { group } = versions;
  const backfill = backfillGroup(group);
  let some = false;
  for (const { topic, partition, next } of partitions) {
    const { plans, clocks } = versions.promotable({ topic, partition }, next);
    if (plans.length === 0) continue;
    some = true;
    await tx.query(
      `UPDATE stream_members SET consumer_group = $1, from_offset = $2, topic_id = (
         SELECT topic_id FROM millrace.inbox_offsets WHERE consumer_group = $3 AND topic = $4 AND partition = $5)
       WHERE consumer_group = $3 AND topic = $4 AND partition = $5 AND query_id = ANY($6)`,
      [group, next, backfill, topic, partition, plans.map(({ id }) => id)],
    );
    await tx.query(
      `INSERT INTO stream_watermarks AS m (consumer_group, topic, partition, clock, watermark)
       SELECT $1, topic, partition, clock, watermark FROM stream_watermarks
       WHERE consumer_group = $2 AND topic = $3 AND partition = $4 AND clock = ANY($5)
       ON CONFLICT (consumer_group, topic, partition, clock) DO UPDATE
         SET watermark = greatest(m.watermark, excluded.watermark), updated_at = now()`,
      [group, backfill, topic, partition, clocks],
    );
  }
  if (some) await nextEpoch(tx);
  return some;
}
