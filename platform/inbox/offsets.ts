import { PlatformError } from '#platform/errors';
import type { PlatformErrorCode } from '#platform/errors';
import type { TopicPartition, Watermarks } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';

/** Thrown inside a transaction to roll it back: its events are outdated, and the inbox reads them again. */
export class Outdated extends PlatformError {
  constructor(
    message: string,
    code: Extract<PlatformErrorCode, 'ERR_INBOX_OUTDATED' | 'ERR_INBOX_OFFSETS_MOVED'> = 'ERR_INBOX_OUTDATED',
  ) {
    super(code, message);
  }
}

/** Thrown when an inbox has lost partitions without noticing. */
export class OffsetsMoved extends Outdated {
  readonly batches: readonly TopicPartition[];

  constructor(batches: readonly TopicPartition[]) {
    super(
      `the offsets of ${batches.map(nameOf).join(', ')} were moved by another member of the group`,
      'ERR_INBOX_OFFSETS_MOVED',
    );
    this.batches = batches;
  }
}

/** A partition and its stored offset before and after. */
export type Move = TopicPartition & { expected: bigint; next: bigint };

const move = {
  name: 'inbox-move-offsets',
  text: `WITH locked AS (
      SELECT o.topic, o.partition, w.next FROM millrace.inbox_offsets o
      JOIN unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS w(topic, partition, expected, next)
        ON w.topic = o.topic AND w.partition = o.partition
      WHERE o.consumer_group = $1 AND o.next_offset = w.expected
      ORDER BY o.topic, o.partition FOR UPDATE OF o
    )
    UPDATE millrace.inbox_offsets o SET next_offset = l.next, updated_at = now() FROM locked l
    WHERE o.consumer_group = $1 AND o.topic = l.topic AND o.partition = l.partition
    RETURNING o.topic, o.partition`,
};

/**
 * Moves the offsets of partitions by compare-and-set; it locks the rows in one order. @returns the moves whose stored
 * offset is not the expected one: another member of the group has processed these messages
 */
export async function moveOffsets<T extends Move>(tx: PoolClient, group: string, batches: readonly T[]): Promise<T[]> {
  const { rows } = await tx.query<TopicPartition>({
    ...move,
    values: [
      group,
      batches.map((batch) => batch.topic),
      batches.map((batch) => batch.partition),
      batches.map((batch) => String(batch.expected)),
      batches.map((batch) => String(batch.next)),
    ],
  });
  if (rows.length === batches.length) return [];
  const moved = new Set(rows.map(nameOf));
  return batches.filter((batch) => !moved.has(nameOf(batch)));
}

export const nameOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`;

/** The stored offsets of partitions, by name; a partition that has none gets the start of its log. */
export async function loadOffsets(
  pool: Pool,
  group: string,
  starts: readonly (TopicPartition & { offset: bigint })[],
): Promise<Map<string, bigint>> {
  const values = [
    group,
    starts.map((start) => start.topic),
    starts.map((start) => start.partition),
    starts.map((start) => String(start.offset)),
  ];
  await pool.query(
    `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset)
     SELECT $1, * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS s(topic, partition, next_offset)
     ORDER BY topic, partition ON CONFLICT DO NOTHING`,
    values,
  );
  const { rows } = await pool.query<TopicPartition & { next_offset: string }>(
    `SELECT topic, partition, next_offset FROM millrace.inbox_offsets WHERE consumer_group = $1 AND topic = ANY ($2::text[])`,
    [group, [...new Set(values[1] as string[])]],
  );
  return new Map(rows.map((row) => [nameOf(row), BigInt(row.next_offset)]));
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
