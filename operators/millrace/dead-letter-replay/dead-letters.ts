import type { Pool } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import type { DeadLetterReplaySpec, DeadLetterReplayStatus } from '../api/dead-letter-replay.ts';

/** How many messages of a replay wait, were replayed and have failed, and the outcomes of those that are done. */
export interface ReplayProgress {
  waiting: number;
  replayed: number;
  failed: number;
  outcomes: NonNullable<DeadLetterReplayStatus['outcomes']>;
}

/** How many rows a replay has marked; where `isTooMany`, how many it would have marked. */
export type ReplayRequest = { selected: number; isTooMany: boolean };

const maxOutcomes = 100;
const maxError = 300;

/** The WHERE clause of a selection; its parameters begin at $2, as $1 is the group. */
function selectionSql({ select, retryFailed }: DeadLetterReplaySpec): { sql: string; values: unknown[] } {
  const values: unknown[] = [];
  const parameter = (value: unknown) => `$${values.push(value) + 1}`;
  const conditions = [
    // a row with a mark belongs to another replay
    retryFailed === true ? '(replay_requested_at IS NULL OR replay_error IS NOT NULL)' : 'replay_requested_at IS NULL',
    'replayed_at IS NULL AND discarded_at IS NULL',
    // the replay of the dead letter that it waits behind handles it, too
    'NOT is_waiting',
  ];
  if (select?.ids) conditions.push(`id = ANY (${parameter(select.ids)}::bigint[])`);
  if (select?.topic !== undefined) conditions.push(`topic = ${parameter(select.topic)}`);
  if (select?.reason !== undefined) conditions.push(`position(${parameter(select.reason)}::text in reason) > 0`);
  if (select?.before !== undefined) conditions.push(`created_at < ${parameter(select.before)}::timestamptz`);
  if (select?.after !== undefined) conditions.push(`created_at >= ${parameter(select.after)}::timestamptz`);
  return { sql: conditions.join(' AND '), values };
}

/**
 * Asks the service of the group to handle the selected dead letters again: all of them, or none where there are more than
 * `maxMessages`. It marks their rows with `requestedAt`, so that a second call with the same time marks no more rows.
 */
export async function requestReplay(
  pool: Pool,
  spec: DeadLetterReplaySpec,
  requestedAt: string,
): Promise<ReplayRequest> {
  return transaction(pool, async (tx) => {
    const { rows: earlier } = await tx.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM millrace.dead_letters WHERE consumer_group = $1 AND replay_requested_at = $2',
      [spec.group, requestedAt],
    );
    if (earlier[0]!.count > 0) return { selected: earlier[0]!.count, isTooMany: false };
    const { sql, values } = selectionSql(spec);
    const { rows } = await tx.query<{ id: string }>(
      `SELECT id FROM millrace.dead_letters WHERE consumer_group = $1 AND ${sql}
       ORDER BY id LIMIT ${spec.maxMessages + 1} FOR UPDATE`,
      [spec.group, ...values],
    );
    if (rows.length > spec.maxMessages) {
      const { rows: all } = await tx.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM millrace.dead_letters WHERE consumer_group = $1 AND ${sql}`,
        [spec.group, ...values],
      );
      return { selected: all[0]!.count, isTooMany: true };
    }
    await tx.query(
      'UPDATE millrace.dead_letters SET replay_requested_at = $1, replay_error = NULL WHERE id = ANY ($2::bigint[])',
      [requestedAt, rows.map(({ id }) => id)],
    );
    return { selected: rows.length, isTooMany: false };
  });
}

/** How far the replay with this mark is. */
export async function readProgress(pool: Pool, group: string, requestedAt: string): Promise<ReplayProgress> {
  const where = 'consumer_group = $1 AND replay_requested_at = $2';
  const { rows } = await pool.query<{ waiting: number; replayed: number; failed: number }>(
    `SELECT count(*) FILTER (WHERE replayed_at IS NOT NULL)::int AS replayed,
            count(*) FILTER (WHERE replay_error IS NOT NULL)::int AS failed,
            count(*) FILTER (WHERE replayed_at IS NULL AND replay_error IS NULL)::int AS waiting
     FROM millrace.dead_letters WHERE ${where}`,
    [group, requestedAt],
  );
  const { rows: done } = await pool.query<{ id: string; message: string; error: string | null }>(
    `SELECT id, topic || '/' || partition || '/' || "offset" AS message, left(replay_error, ${maxError}) AS error
     FROM millrace.dead_letters WHERE ${where} AND (replayed_at IS NOT NULL OR replay_error IS NOT NULL)
     ORDER BY replay_error IS NULL, id LIMIT ${maxOutcomes}`,
    [group, requestedAt],
  );
  const outcomes = done.map(({ id, message, error }) =>
    error === null
      ? { id: Number(id), message, outcome: 'Replayed' as const }
      : { id: Number(id), message, outcome: 'Failed' as const, error },
  );
  return { ...rows[0]!, outcomes };
}

/** Takes the mark from the rows that no service has handled yet. @returns how many */
export async function cancelReplay(pool: Pool, group: string, requestedAt: string): Promise<number> {
  const { rowCount } = await pool.query(
    `UPDATE millrace.dead_letters SET replay_requested_at = NULL
     WHERE consumer_group = $1 AND replay_requested_at = $2 AND replayed_at IS NULL AND replay_error IS NULL`,
    [group, requestedAt],
  );
  return rowCount ?? 0;
}
