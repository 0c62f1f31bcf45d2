import type { DeadLetter } from '#platform/contract';
import type { IncomingMessage, RawRecord } from '#platform/kafka';
import type { Pool } from '#platform/postgres';

/** A dead letter, as the database has it. */
export interface DeadLetterRow {
  id: string;
  topic: string;
  partition: number;
  offset: string;
  key: string | null;
  value: Buffer | null;
  headers: Record<string, string>;
  timestamp: Date;
  key_bytes: Buffer | null;
  /** null in a row that keeps texts alone */
  header_list: [name: string, value: string | null][] | null;
  timestamp_ms: string | null;
  is_reference: boolean;
}

/** Where the message is, or was, in the log of its topic. */
export const offsetColumn = 'coalesce(earlier_offset, "offset") AS "offset"';

export const deadLetterColumns = `id, topic, partition, ${offsetColumn}, key, value, headers, timestamp,
  key_bytes, header_list, timestamp_ms, is_reference`;

/**
 * Sets the dead letters of partitions apart from those that the topics of the same names will have, which were created again: the part
 * of a statement that changes the rows of the partitions in `moved`, of the group `$1`.
 */
export const setApart = `UPDATE millrace.dead_letters d SET earlier_offset = d."offset", "offset" = -d.id FROM moved m
  WHERE d.consumer_group = $1 AND d.topic = m.topic AND d.partition = m.partition AND d.earlier_offset IS NULL`;

export type DeadLetterState = DeadLetter['state'];

/** Neither replayed nor discarded. */
export const isPending = 'replayed_at IS NULL AND discarded_at IS NULL';
/** A replay is asked for and has not been tried. */
export const isRequested = `replay_requested_at IS NOT NULL AND replay_error IS NULL AND ${isPending}`;

/** The conditions of the states: each row has exactly one. */
export const stateConditions: Record<DeadLetterState, string> = {
  REPLAYED: 'replayed_at IS NOT NULL',
  DISCARDED: 'replayed_at IS NULL AND discarded_at IS NOT NULL',
  WAITING: `is_waiting AND ${isPending}`,
  REPLAYING: `NOT is_waiting AND ${isRequested}`,
  OPEN: `NOT is_waiting AND (replay_requested_at IS NULL OR replay_error IS NOT NULL) AND ${isPending}`,
};

export const stateColumn = `CASE ${Object.entries(stateConditions)
  .map(([state, condition]) => `WHEN ${condition} THEN '${state}'`)
  .join(' ')} END`;

export const pendingStates = ['OPEN', 'WAITING', 'REPLAYING'] as const;

/** How many dead letters of a group are in each state that is not the last; an index has these alone. */
export async function countPending(pool: Pool, group: string): Promise<Map<DeadLetterState, number>> {
  const { rows } = await pool.query<{ state: DeadLetterState; count: string }>(
    `SELECT ${stateColumn} AS state, count(*) AS count FROM millrace.dead_letters
     WHERE consumer_group = $1 AND ${isPending} GROUP BY 1`,
    [group],
  );
  const found = new Map(rows.map(({ state, count }) => [state, Number(count)]));
  return new Map(pendingStates.map((state) => [state, found.get(state) ?? 0]));
}

/** The message of a dead letter, as it was in the log. */
export function messageOf(row: DeadLetterRow): IncomingMessage {
  const { topic, partition, key, value, headers, timestamp, key_bytes, header_list, timestamp_ms } = row;
  const at = { topic, partition, offset: BigInt(row.offset) };
  if (!header_list) return { ...at, key, value, headers, timestamp: timestamp.getTime() };
  const raw: RawRecord = {
    key: key_bytes,
    value,
    headers: header_list.map(([name, text]) => [
      Buffer.from(name, 'base64'),
      text === null ? null : Buffer.from(text, 'base64'),
    ]),
    timestamp: BigInt(timestamp_ms!),
  };
  return {
    ...at,
    key: key_bytes && key_bytes.toString(),
    value,
    headers: Object.fromEntries(
      raw.headers.flatMap(([name, text]) => (text ? [[name.toString(), text.toString()]] : [])),
    ),
    timestamp: Number(raw.timestamp),
    raw: () => raw,
  };
}
