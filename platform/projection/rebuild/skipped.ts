import { deadLetterColumns, messageOf } from '#platform/inbox';
import type { DeadLetterRow } from '#platform/inbox';
import type { IncomingMessage, TopicPartition } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import type { Request } from './requests.ts';

/** the most dead letters that are read at once */
const maxLetters = 500;

/**
 * Notes the dead letters among the messages of a partition that the version in use has not handled, the discarded ones too.
 * @returns their offsets: the build leaves them out
 */
export async function noteSkipped(
  tx: PoolClient,
  { version, group }: Request,
  { topic, partition, from, to }: TopicPartition & { from: bigint; to: bigint },
): Promise<Set<bigint>> {
  const { rows } = await tx.query<{ offset: string }>(
    `WITH skipped AS (
       SELECT topic, partition, "offset" FROM millrace.dead_letters WHERE consumer_group = $2 AND topic = $3 AND partition = $4
         AND "offset" >= $5 AND "offset" < $6 AND replayed_at IS NULL
     ), noted AS (
       INSERT INTO millrace.projection_skipped (version, topic, partition, "offset") SELECT $1::int, * FROM skipped
     )
     SELECT "offset" FROM skipped`,
    [version, group, topic, partition, String(from), String(to)],
  );
  return new Set(rows.map(({ offset }) => BigInt(offset)));
}

/**
 * Takes some of the noted dead letters, of one partition or of all, that were replayed since: the build is to handle them now.
 * @returns them in the order in which those of a key were replayed; none if no more are left
 */
export async function takeReplayed(
  tx: PoolClient,
  { version, group }: Request,
  at?: TopicPartition,
): Promise<IncomingMessage[]> {
  const { rows } = await tx.query<DeadLetterRow>(
    `WITH due AS (
       SELECT d.id, s.topic, s.partition, s."offset" FROM millrace.projection_skipped s JOIN millrace.dead_letters d
         ON d.consumer_group = $2 AND d.topic = s.topic AND d.partition = s.partition AND d."offset" = s."offset"
       WHERE s.version = $1 AND d.replayed_at IS NOT NULL AND ($3::text IS NULL OR (s.topic = $3 AND s.partition = $4))
       ORDER BY d.id LIMIT ${maxLetters}
     ), taken AS (
       DELETE FROM millrace.projection_skipped s USING due
       WHERE s.version = $1 AND s.topic = due.topic AND s.partition = due.partition AND s."offset" = due."offset"
     )
     SELECT ${deadLetterColumns} FROM millrace.dead_letters WHERE id IN (SELECT id FROM due) ORDER BY id`,
    [version, group, at?.topic ?? null, at?.partition ?? null],
  );
  return rows.map(messageOf);
}

export async function forgetSkipped(tx: PoolClient, { version }: Pick<Request, 'version'>): Promise<void> {
  await tx.query('DELETE FROM millrace.projection_skipped WHERE version = $1', [version]);
}
