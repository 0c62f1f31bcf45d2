import { PlatformError } from '#platform/errors';
import type { PlatformErrorCode } from '#platform/errors';
import { nameOf } from '#platform/kafka';
import type { TopicPartition, Watermarks } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import { setApart } from './dead-letter-row.ts';

/** Thrown inside a transaction to roll it back: its events are outdated, and the inbox reads them again. */
export class Outdated extends PlatformError {
  constructor(
    message: string,
    code: Extract<PlatformErrorCode, 'ERR_INBOX_OUTDATED' | 'ERR_INBOX_OFFSETS_MOVED'> = 'ERR_INBOX_OUTDATED',
  ) {
    super(code, message);
  }
}

/** Thrown when an inbox has lost partitions without noticing, or has to read them again for another reason: it writes the others. */
export class OffsetsMoved extends Outdated {
  readonly batches: readonly TopicPartition[];

  constructor(batches: readonly TopicPartition[], reason = 'the offsets were moved by another member of the group') {
    super(`${reason}: ${batches.map(nameOf).join(', ')}`, 'ERR_INBOX_OFFSETS_MOVED');
    this.batches = batches;
  }
}

/** How the offset of a partition moves. */
export interface Move extends TopicPartition {
  /** the stored offset before */
  expected: bigint;
  /** the stored offset after */
  next: bigint;
  /** the id of the topic that these offsets count in, where it is known */
  topicId?: string | undefined;
}

const move = {
  name: 'inbox-move-offsets',
  text: `WITH locked AS (
      SELECT o.topic, o.partition, w.next FROM millrace.inbox_offsets o
      JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::text[]) AS w(topic, partition, expected, next, topic_id)
        ON w.topic = o.topic AND w.partition = o.partition
      WHERE o.consumer_group = $1 AND o.next_offset = w.expected
        AND coalesce(o.topic_id = w.topic_id, true)
      ORDER BY o.topic, o.partition FOR UPDATE OF o
    )
    UPDATE millrace.inbox_offsets o SET next_offset = l.next, updated_at = now() FROM locked l
    WHERE o.consumer_group = $1 AND o.topic = l.topic AND o.partition = l.partition
    RETURNING o.topic, o.partition`,
};

// It costs no round trip of its own to ask here, in each transaction: any member of the group can have added a dead letter, because
// a key changes its partition when its topic gets more of them.
const moveAndLook = {
  name: 'inbox-move-offsets-and-look',
  text: `${move.text}, EXISTS (
      SELECT FROM millrace.blocked_keys b WHERE b.consumer_group = $1 AND b.topic = o.topic) AS "hasBlocked"`,
};

/**
 * Moves the offsets of partitions by compare-and-set; it locks the rows in one order. @returns the moves whose stored
 * offset is not the expected one: another member of the group has processed these messages, or they are of a topic that was created
 * again since
 */
export async function moveOffsets<T extends Move>(tx: PoolClient, group: string, batches: readonly T[]): Promise<T[]> {
  const { rows } = await tx.query<TopicPartition>({ ...move, values: movesOf(group, batches) });
  return without(batches, rows);
}

/** As `moveOffsets`, and tells `blocked`: the topics of those moved in which messages wait behind dead letters of their keys. */
export async function moveOffsetsAndLook<T extends Move>(
  tx: PoolClient,
  group: string,
  batches: readonly T[],
): Promise<{ moved: T[]; blocked: Set<string> }> {
  const { rows } = await tx.query<TopicPartition & { hasBlocked: boolean }>({
    ...moveAndLook,
    values: movesOf(group, batches),
  });
  const blocked = new Set(rows.flatMap(({ topic, hasBlocked }) => (hasBlocked ? [topic] : [])));
  return { moved: without(batches, rows), blocked };
}

const movesOf = (group: string, batches: readonly Move[]): unknown[] => [
  group,
  batches.map((batch) => batch.topic),
  batches.map((batch) => batch.partition),
  batches.map((batch) => String(batch.expected)),
  batches.map((batch) => String(batch.next)),
  batches.map((batch) => batch.topicId ?? null),
];

function without<T extends TopicPartition>(batches: readonly T[], rows: readonly TopicPartition[]): T[] {
  if (rows.length === batches.length) return [];
  const found = new Set(rows.map(nameOf));
  return batches.filter((batch) => !found.has(nameOf(batch)));
}

/** The partitions whose stored offset another session has locked at this moment; a partition without one is none of them. */
export async function lockedOffsets<T extends TopicPartition>(
  pool: Pool,
  group: string,
  partitions: readonly T[],
): Promise<T[]> {
  const { rows } = await pool.query<TopicPartition>(
    `WITH stored AS (
       SELECT o.topic, o.partition FROM millrace.inbox_offsets o
       JOIN unnest($2::text[], $3::int[]) AS w(topic, partition) ON w.topic = o.topic AND w.partition = o.partition
       WHERE o.consumer_group = $1
     ), free AS (
       SELECT o.topic, o.partition FROM millrace.inbox_offsets o JOIN stored s USING (topic, partition)
       WHERE o.consumer_group = $1 FOR UPDATE OF o SKIP LOCKED)
     SELECT * FROM stored EXCEPT SELECT * FROM free`,
    [group, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
  );
  const locked = new Set(rows.map(nameOf));
  return partitions.filter((partition) => locked.has(nameOf(partition)));
}

/** Why such a partition waits. */
export const offsetLocked = 'another session of PostgreSQL holds its offset';

/** The start of a partition's log, and the id of its topic where the brokers tell one. */
export type LogStart = TopicPartition & { offset: bigint; topicId?: string | undefined };

export interface StoredOffset {
  offset: bigint;
  /** the topic that the offset counts in */
  topicId: string | undefined;
}

/** Whether an offset counts in another topic than the present one of its name; not where the id of either is unknown. */
export const isRecreated = (stored: string | undefined, present: string | undefined) =>
  stored !== undefined && present !== undefined && stored !== present;

/**
 * The stored offsets of partitions, by name; a partition that has none gets the start of its log. An offset whose topic is not
 * known yet counts in the present one. It does not wait for offsets that another session has locked.
 */
export async function loadOffsets(
  pool: Pool,
  group: string,
  starts: readonly LogStart[],
): Promise<Map<string, StoredOffset>> {
  await pool.query(
    `WITH starts AS (
       SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) AS s(topic, partition, next_offset, topic_id)
     ), added AS (
       INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id)
       SELECT $1, * FROM starts ORDER BY topic, partition
       ON CONFLICT (consumer_group, topic, partition) DO NOTHING
     ), unknown AS (
       SELECT o.topic, o.partition, s.topic_id FROM millrace.inbox_offsets o JOIN starts s USING (topic, partition)
       WHERE o.consumer_group = $1 AND o.topic_id IS NULL AND s.topic_id IS NOT NULL FOR UPDATE OF o SKIP LOCKED)
     UPDATE millrace.inbox_offsets o SET topic_id = u.topic_id FROM unknown u
     WHERE o.consumer_group = $1 AND o.topic = u.topic AND o.partition = u.partition`,
    valuesOf(group, starts),
  );
  const { rows } = await pool.query<TopicPartition & { next_offset: string; topic_id: string | null }>(
    `SELECT topic, partition, next_offset, topic_id FROM millrace.inbox_offsets
     WHERE consumer_group = $1 AND topic = ANY ($2::text[])`,
    [group, [...new Set(starts.map((start) => start.topic))]],
  );
  return new Map(
    rows.map((row) => [nameOf(row), { offset: BigInt(row.next_offset), topicId: row.topic_id ?? undefined }]),
  );
}

/** What the id of a topic gets whose log ends before a stored offset. */
export const truncatedMark = 'truncated ';

/** Whether the stored topic is the present one, as it was before its log lost its end. */
export const isTruncated = (stored: string | undefined): boolean => stored?.startsWith(truncatedMark) ?? false;

/**
 * Notes that logs end before the stored offsets, so that these count in another log. When a log has grown past them, nothing else
 * would tell, and the group would skip what is new.
 */
export async function noteTruncated(pool: Pool, group: string, partitions: readonly TopicPartition[]): Promise<void> {
  if (partitions.length === 0) return;
  await pool.query(
    `UPDATE millrace.inbox_offsets o SET topic_id = $4 || o.topic_id
     FROM unnest($2::text[], $3::int[]) AS t(topic, partition)
     WHERE o.consumer_group = $1 AND o.topic = t.topic AND o.partition = t.partition AND NOT starts_with(o.topic_id, $4)`,
    [group, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition), truncatedMark],
  );
}

/** Reads partitions from the start of their log, whose topic was created again; the dead letters of the earlier one stay. */
export async function restartOffsets(pool: Pool, group: string, starts: readonly LogStart[]): Promise<void> {
  await pool.query(
    `WITH moved AS (
       UPDATE millrace.inbox_offsets o SET next_offset = s.next_offset, topic_id = s.topic_id, updated_at = now()
       FROM unnest($2::text[], $3::int[], $4::bigint[], $5::text[]) AS s(topic, partition, next_offset, topic_id)
       WHERE o.consumer_group = $1 AND o.topic = s.topic AND o.partition = s.partition AND o.topic_id <> s.topic_id
       RETURNING o.topic, o.partition)
     ${setApart}`,
    valuesOf(group, starts),
  );
}

function valuesOf(group: string, starts: readonly LogStart[]): unknown[] {
  return [
    group,
    starts.map((start) => start.topic),
    starts.map((start) => start.partition),
    starts.map((start) => String(start.offset)),
    starts.map((start) => start.topicId ?? null),
  ];
}

export type Start =
  /** read from `next`; the log no longer has the `skipped` offsets before it */
  | { next: bigint; skipped: bigint }
  /** the log ends before the stored offset */
  | { beyond: bigint };

/** Where to start reading a partition. */
export function startOf(stored: bigint, { low, high }: Watermarks): Start {
  if (stored > high) return { beyond: high };
  return stored < low ? { next: low, skipped: low - stored } : { next: stored, skipped: 0n };
}
