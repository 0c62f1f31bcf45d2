import type { PoolClient } from '#platform/postgres';
import type { Cursor } from './cursor.ts';
import type { OutboxRow } from './rows.ts';
import { payloadCache } from './payload-cache.ts';

const maxRows = 1_000;
const maxBytes = 4 * 1024 * 1024;
/** how many rows after the head of a shard are searched for earlier events of the same keys */
const lookahead = 1_000;

/**
 * Stores the cursors that have moved (fenced by the owner) and reads the next rows, for all shards in one statement.
 *
 * The events of a key happen in the order of their ids, because a transaction draws an id under the lock of the aggregate.
 * Transaction ids do not have that order, because a transaction gets its id before it waits for the lock. The rows of a key
 * in a snapshot have no gap, whatever transactions are open: the relay can publish all of them in the order of ids. The
 * cursor uses the transaction id, because only that shows which rows cannot appear any more. Where a shard has more rows
 * than one read takes (the "head"), the read takes also the later rows whose ids are smaller than an id of the head.
 */
const statement = (source: string) => ({
  name: 'outbox-advance-and-read',
  text: `
    WITH horizon AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin),
    moved AS (
      UPDATE millrace.outbox_shards s SET xid = m.xid, id = m.id
      FROM unnest($2::smallint[], $3::xid8[], $4::bigint[]) AS m(shard, xid, id)
      WHERE s.shard = m.shard AND s.owner = $1
      RETURNING s.shard
    )
    SELECT (SELECT array_agg(shard) FROM moved) AS moved, (SELECT xmin::text FROM horizon) AS horizon,
      r.shard, r.xid::text AS xid, r.id::text AS id, r.topic, r.key, r.event_id, r.type, r.source,
      CASE WHEN r.event_id <> ALL ($12::text[]) THEN r.data END AS data, r.headers,
      r.traceparent, r.created_at, r.head, r.cut
    FROM (SELECT) one LEFT JOIN (
      SELECT b.* FROM unnest($5::smallint[], $6::xid8[], $7::bigint[], $9::boolean[], $10::int[])
          AS c(shard, xid, id, is_held_back, most)
      CROSS JOIN horizon h CROSS JOIN LATERAL (
        SELECT k.*, max(k.id) FILTER (WHERE k.head) OVER () AS last_id, bool_or(NOT k.head) OVER () AS cut
        FROM (
          SELECT l.*, (l.xid < h.xmin OR NOT c.is_held_back) AND row_number() OVER w <= c.most
              AND sum(octet_length(l.data)) OVER w - octet_length(l.data) < $11 AS head
          FROM (
            SELECT o.shard, o.xid, o.id, o.topic, o.key, o.event_id, o.type, o.source, o.data, o.headers, o.traceparent,
              o.created_at
            FROM ${source} o
            WHERE o.shard = c.shard AND (o.xid, o.id) > (c.xid, c.id) AND o.id <> ALL ($8::bigint[])
            ORDER BY o.xid, o.id LIMIT c.most + ${lookahead}
          ) l WINDOW w AS (ORDER BY l.xid, l.id)
        ) k
      ) b WHERE b.head OR b.id < b.last_id
    ) r ON true
    ORDER BY r.shard, r.xid, r.id`,
});

export interface ReadRequest {
  /** the table or view that is read, the same for all that a session reads */
  source: string;
  owner: string;
  /** the cursors to store */
  moved: readonly Cursor[];
  /** where to read, for every owned shard */
  cursors: readonly Cursor[];
  /** the ids of the rows published ahead of the cursors */
  ahead: readonly number[];
  /** take no head row above the horizon, so that the cursors can follow */
  holdBack: boolean;
  /** the shards of which no head row above the horizon is taken, and only one below it; default: none */
  farAhead?: ReadonlySet<number>;
}

export interface ReadResult {
  /** the shards whose cursors were stored; another relay owns those that are missing */
  moved: number[];
  /** all transactions below it have ended: their rows cannot appear any more */
  horizon: number;
  /** by shard, in the order of the cursor */
  rows: OutboxRow[];
}

/** `data` is null if this process has it in its cache. */
type Row = Omit<OutboxRow, 'xid' | 'id' | 'data'> & {
  xid: string;
  id: string | null;
  data: Buffer | null;
  moved: number[] | null;
  horizon: string;
};

/** Stores cursors and reads the next rows of the shards, about 1,000 rows and 4 MiB at most. */
export async function advanceAndRead(session: PoolClient, request: ReadRequest): Promise<ReadResult> {
  const { source, owner, moved, cursors, ahead, holdBack, farAhead } = request;
  const shards = Math.max(1, cursors.length);
  const known = payloadCache.snapshot();
  const { rows } = await session.query<Row>({
    ...statement(source),
    values: [
      owner,
      ...columns(moved),
      ...columns(cursors),
      ahead,
      cursors.map(({ shard }) => holdBack || farAhead?.has(shard) === true),
      cursors.map(({ shard }) => (farAhead?.has(shard) ? 1 : Math.ceil(maxRows / shards))),
      Math.ceil(maxBytes / shards),
      [...known.keys()],
    ],
  });
  const first = rows[0]!; // the outer join returns at least one
  return {
    moved: first.moved ?? [],
    horizon: Number(first.horizon),
    rows: first.id === null ? [] : rows.map((row) => rowOf(row, known)),
  };
}

function rowOf(row: Row, known: ReadonlyMap<string, Buffer>): OutboxRow {
  const data = row.data ?? known.get(row.event_id)!;
  payloadCache.delete(row.event_id); // after a failed send, the data comes from the database
  return { ...row, data, xid: Number(row.xid), id: Number(row.id) };
}

function columns(cursors: readonly Cursor[]): [number[], number[], number[]] {
  return [
    cursors.map((cursor) => cursor.shard),
    cursors.map((cursor) => cursor.xid),
    cursors.map((cursor) => cursor.id),
  ];
}
