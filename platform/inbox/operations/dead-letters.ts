import type { DeadLetter, DeadLetterDetail, DeadLetterFilter, DeadLetterJob } from '#platform/contract';
import { parseTime } from '#platform/contract';
import { isLockFailure, PlatformError } from '#platform/errors';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import {
  deadLetterColumns,
  isPending,
  messageOf,
  offsetColumn,
  stateColumn,
  stateConditions,
} from '../dead-letter-row.ts';
import type { DeadLetterRow, DeadLetterState } from '../dead-letter-row.ts';
import { rawOf } from '../dead-letters.ts';

/** the most bytes of a value or a key that a detail shows */
const maxBytes = 256 * 1024;
const maxTries = 3;

export type Action = DeadLetterJob['action'];

/** Thrown to roll back: the selection is not of the expected size. */
export class OtherCount extends PlatformError {
  override name = 'OtherCount';
  readonly count: number;

  constructor(count: number) {
    super('ERR_INBOX_SELECTION', `the filter selects ${count}`);
    this.count = count;
  }
}

interface ListRow extends Omit<DeadLetterRow, 'value'> {
  consumer_group: string;
  event_id: string | null;
  type: string | null;
  reason: string;
  error_code: string | null;
  attempts: number;
  created_at: Date;
  state: DeadLetterState;
}

// a row of before has its event's id and type in the headers alone
const listColumns = `id, consumer_group, topic, partition, ${offsetColumn}, key, coalesce(event_id, headers->>'ce_id') AS event_id,
  coalesce(type, headers->>'ce_type') AS type, reason, error_code, attempts, headers->>'traceparent' AS traceparent,
  created_at, ${stateColumn} AS state`;

/** A WHERE clause and its parameters. */
class Conditions {
  readonly #parts: string[] = ['true'];
  readonly values: unknown[] = [];

  /** @param sql has `$` in place of the value */
  add(sql: string, value: unknown): this {
    if (value !== undefined) this.#parts.push(sql.replace('$', this.parameter(value)));
    return this;
  }

  /** One of these holds; without any, all do. */
  oneOf(conditions: readonly string[]): this {
    if (conditions.length > 0) this.#parts.push(`(${conditions.map((one) => `(${one})`).join(' OR ')})`);
    return this;
  }

  parameter(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  toString(): string {
    return this.#parts.join(' AND ');
  }
}

function conditionsOf(
  { group, topic, key, reason, from, to }: DeadLetterFilter,
  states: readonly string[],
): Conditions {
  const conditions = new Conditions()
    .add('consumer_group = $', group)
    .add('topic = $', topic)
    .add('key = $', key)
    .add('position($::text in reason) > 0', reason)
    .add('created_at >= $::timestamptz', from === undefined ? undefined : parseTime(from))
    .add('created_at <= $::timestamptz', to === undefined ? undefined : parseTime(to));
  return conditions.oneOf(states);
}

/** The dead letters of a filter, newest first. @param before only those with a smaller id */
export async function listDeadLetters(
  pool: Pool,
  filter: DeadLetterFilter,
  { before, limit }: { before: string | undefined; limit: number },
): Promise<DeadLetter[]> {
  const states = filter.state ? [stateConditions[filter.state]] : [];
  const where = conditionsOf(filter, states).add('id < $::bigint', before);
  const { rows } = await pool.query<ListRow & { traceparent: string | null }>(
    `SELECT ${listColumns} FROM millrace.dead_letters WHERE ${String(where)} ORDER BY id DESC LIMIT ${where.parameter(limit)}`,
    where.values,
  );
  return rows.map(present);
}

function present(row: Omit<ListRow, 'headers'> & { traceparent: string | null }): DeadLetter {
  return {
    id: Number(row.id),
    group: row.consumer_group,
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.offset),
    key: row.key,
    eventId: row.event_id,
    type: row.type,
    reason: row.reason,
    errorCode: row.error_code,
    attempts: row.attempts,
    traceparent: row.traceparent,
    createdAt: row.created_at.toISOString(),
    state: row.state,
  };
}

/** A dead letter with its message. */
export async function getDeadLetter(pool: Pool, id: string): Promise<DeadLetterDetail | undefined> {
  const { rows } = await pool.query<
    ListRow &
      DeadLetterRow & {
        traceparent: string | null;
        replay_error: string | null;
        replayed_at: Date | null;
        discarded_at: Date | null;
        value_bytes: number | null;
      }
  >(
    `SELECT ${deadLetterColumns.replace('value', `substring(value FOR ${maxBytes}) AS value`)}, ${listColumns},
       replay_error, replayed_at, discarded_at, octet_length(value) AS value_bytes
     FROM millrace.dead_letters WHERE id = $1`,
    [id],
  );
  const [row] = rows;
  if (!row) return undefined;
  const raw = rawOf(messageOf(row));
  return {
    ...present(row),
    timestamp: row.timestamp.toISOString(),
    replayError: row.replay_error,
    replayedAt: row.replayed_at?.toISOString() ?? null,
    discardedAt: row.discarded_at?.toISOString() ?? null,
    isReference: row.is_reference,
    keyBytes: bytesOf(raw.key),
    headers: raw.headers.map(([name, value]) => ({ name: bytesOf(name)!, value: bytesOf(value) })),
    value: bytesOf(raw.value),
    valueBytes: row.value_bytes ?? 0,
  };
}

function bytesOf(bytes: Buffer | null): { text: string; base64: string } | null {
  if (bytes === null) return null;
  const shown = bytes.subarray(0, maxBytes);
  return { text: shown.toString(), base64: shown.toString('base64') };
}

/** What to replay or discard: one dead letter, or all that a filter selects. */
export type Selection = { id: string } | DeadLetterFilter;

/**
 * Asks for the replay of dead letters, or discards them; all of the selection or none. The replay, and the handling of what
 * waits behind discarded ones, is done by the services of the groups.
 * @throws OtherCount if there are more or fewer than expected
 */
export async function requestAction(
  pool: Pool,
  action: Action,
  selection: Selection,
  expected: number,
): Promise<DeadLetterJob> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await transaction(pool, (tx) => request(tx, action, selection, expected));
    } catch (error) {
      if (!isLockFailure(error) || tries === maxTries) throw error;
    }
  }
}

async function request(tx: PoolClient, action: Action, selection: Selection, expected: number): Promise<DeadLetterJob> {
  const where = whereOf(action, selection);
  const { rows: counted } = await tx.query<{ count: string }>(
    `SELECT count(*) AS count FROM millrace.dead_letters WHERE ${String(where)}`,
    where.values,
  );
  if (Number(counted[0]!.count) !== expected) throw new OtherCount(Number(counted[0]!.count));
  const { rows } = await tx.query<{ id: string }>(
    'INSERT INTO millrace.dead_letter_jobs (action, selected) VALUES ($1, $2) RETURNING id',
    [action, expected],
  );
  const [{ id: job }] = rows as [{ id: string }];
  const change = action === 'REPLAY' ? 'replay_requested_at = now(), replay_error = NULL' : 'discarded_at = now()';
  const { rowCount } = await tx.query(
    `UPDATE millrace.dead_letters SET job_id = ${where.parameter(job)}, ${change} WHERE ${String(where)}`,
    where.values,
  );
  if (rowCount !== expected) throw new OtherCount(rowCount ?? 0);
  if (action === 'DISCARD') {
    await tx.query(
      `UPDATE millrace.blocked_keys b SET is_released = true FROM millrace.dead_letters d
       WHERE d.job_id = $1 AND NOT d.is_waiting
         AND b.consumer_group = d.consumer_group AND b.topic = d.topic AND b.key_hash = d.key_hash`,
      [job],
    );
  }
  return (await getJob(tx, job))!;
}

function whereOf(action: Action, selection: Selection): Conditions {
  const { OPEN, WAITING } = stateConditions;
  if ('id' in selection)
    return conditionsOf({}, action === 'REPLAY' ? [OPEN] : [OPEN, WAITING]).add('id = $::bigint', selection.id);
  return conditionsOf(selection, [stateConditions[selection.state ?? 'OPEN']]);
}

/** How far a replay or a discard is. */
export async function getJob(client: Pool | PoolClient, id: string): Promise<DeadLetterJob | undefined> {
  const { rows } = await client.query<{
    action: Action;
    selected: number;
    created_at: Date;
    done: number;
    failed: number;
    remaining: number;
  }>(
    `SELECT j.action, j.selected, j.created_at, d.* FROM millrace.dead_letter_jobs j, LATERAL (
       SELECT count(*) FILTER (WHERE replayed_at IS NOT NULL OR discarded_at IS NOT NULL)::int AS done,
         count(*) FILTER (WHERE replay_error IS NOT NULL AND ${isPending})::int AS failed,
         count(*) FILTER (WHERE replay_error IS NULL AND ${isPending})::int AS remaining
       FROM millrace.dead_letters WHERE job_id = j.id) d
     WHERE j.id = $1`,
    [id],
  );
  const [row] = rows;
  if (!row) return undefined;
  const { action, selected, created_at, done, failed, remaining } = row;
  const state = remaining > 0 ? 'RUNNING' : 'DONE';
  return {
    id: Number(id),
    action,
    count: selected,
    done,
    failed,
    remaining,
    state,
    createdAt: created_at.toISOString(),
  };
}
