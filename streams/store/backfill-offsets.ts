import { backfillGroup } from '#platform/declarations';
import { isRecreated } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { rewind } from '#streams/engine';
import type { Rewind } from '#streams/engine';
import { noteGone } from './letters.ts';

/** How far a group has read a partition, and the id of the topic in which this offset counts, where it is known. */
export type StoredOffset = TopicPartition & { next: bigint; topicId: string | null };

/** Locks the backfill's offsets. It creates missing ones at the live group's, so that the backfill reads nothing needless. */
export async function lockBackfill(tx: PoolClient, group: string): Promise<Map<string, StoredOffset>> {
  const backfill = backfillGroup(group);
  await tx.query(
    `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id)
     SELECT $2, topic, partition, next_offset, topic_id FROM millrace.inbox_offsets WHERE consumer_group = $1
     ORDER BY topic, partition ON CONFLICT DO NOTHING`,
    [group, backfill],
  );
  return new Map((await readOffsets(tx, backfill, 'FOR UPDATE')).map((at) => [nameOf(at), at]));
}

export async function readOffsets(tx: PoolClient, group: string, locking = ''): Promise<StoredOffset[]> {
  const { rows } = await tx.query<TopicPartition & { next: string; topicId: string | null }>(
    `SELECT topic, partition, next_offset::text AS next, topic_id AS "topicId" FROM millrace.inbox_offsets WHERE consumer_group = $1
     ORDER BY topic, partition ${locking}`,
    [group],
  );
  return rows.map((row) => ({ ...row, next: BigInt(row.next) }));
}

/**
 * Sends the backfill of a partition to the first event for new versions; where there are no versions to read for, it stands where
 * the live group does, so that it reads nothing needless.
 * @param own where the live group is
 * @param stored where the backfill is
 * @param beginning the new versions
 * @param start the first offset of the partition, and the topic that Kafka has now. The backfill can know an earlier topic of that
 * name, whose offsets say nothing in this one: it would refuse to read on there
 */
export async function sendBackfill(
  tx: PoolClient,
  group: string,
  own: StoredOffset,
  stored: StoredOffset,
  beginning: readonly number[],
  { low, topicId }: { low: bigint; topicId: string | undefined },
): Promise<void> {
  const { topic, partition } = own;
  const backfill = backfillGroup(group);
  const at = [backfill, topic, partition];
  const { rows } = await tx.query<{ id: number; from: string; topicId: string | null }>(
    `SELECT query_id AS id, from_offset::text AS from, topic_id AS "topicId" FROM stream_members
     WHERE consumer_group = $1 AND topic = $2 AND partition = $3`,
    at,
  );
  const isEarlier = ({ topicId: read }: { topicId: string | null }) =>
    isRecreated(read ?? undefined, stored.topicId ?? undefined);
  const reading = rows.map((row) => ({ id: row.id, from: isEarlier(row) ? 0n : BigInt(row.from) }));
  if (beginning.length === 0 && reading.length > 0) return;
  const isOther = isRecreated(stored.topicId ?? undefined, topicId);
  const sent: Rewind & { topicId: string | null } =
    beginning.length > 0
      ? { ...rewind(isOther ? undefined : stored.next, reading, beginning, low), topicId: topicId ?? null }
      : { position: own.next, starts: [], isElsewhere: false, topicId: own.topicId }; // no version needs earlier events
  await tx.query(
    `UPDATE millrace.inbox_offsets SET next_offset = $4, topic_id = $5
     WHERE consumer_group = $1 AND topic = $2 AND partition = $3`,
    [...at, sent.position, sent.topicId],
  );
  await tx.query(
    `INSERT INTO stream_members (consumer_group, topic, partition, topic_id, query_id, from_offset)
     SELECT $1, $2, $3, $4, * FROM unnest($5::int[], $6::bigint[])
     ON CONFLICT (query_id, topic, partition) DO UPDATE SET from_offset = excluded.from_offset, topic_id = excluded.topic_id`,
    [...at, sent.topicId, sent.starts.map(({ id }) => id), sent.starts.map(({ from }) => from)],
  );
  if (beginning.length > 0) await noteGone(tx, group, { ...own, offset: low }, beginning);
  if (!sent.isElsewhere) return;
  for (const table of ['stream_watermarks', 'stream_recent_ids'])
    await tx.query(`DELETE FROM ${table} WHERE consumer_group = $1 AND topic = $2 AND partition = $3`, at);
}
