import { StreamsError } from '#streams/errors';
import { describeHolder } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';

/** how long a row may wait before it is reported, in milliseconds */
const heldMs = 15_000;

/** Writes items for the live stream, one row for each kind: each item is a JSON text on a line of its own. */
export async function appendToFeed(tx: PoolClient, items: Readonly<Record<string, readonly string[]>>): Promise<void> {
  const rows = Object.entries(items).filter(([, texts]) => texts.length > 0);
  if (rows.length === 0) return;
  await tx.query({
    name: 'feed-append',
    text: 'INSERT INTO feed (kind, items) SELECT * FROM unnest($1::text[], $2::text[])',
    values: [rows.map(([kind]) => kind), rows.map(([, texts]) => texts.join('\n'))],
  });
}

/** A position in the feed; 64-bit numbers stay text. */
export interface FeedPosition {
  xid: string;
  id: string;
}

export interface FeedRow extends FeedPosition {
  kind: string;
  /** JSON texts, a line each */
  items: string;
}

/**
 * The end of the feed: all later commits come after it. Some earlier commits do, too, while an older transaction is open in
 * any database of the server.
 */
export async function feedEnd(pool: Pool): Promise<FeedPosition> {
  const { rows } = await pool.query<{ xid: string }>('SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xid');
  return { xid: rows[0]!.xid, id: '0' };
}

/** What a read of the feed has found. */
export interface FeedPage {
  rows: FeedRow[];
  /**
   * The end of the feed at that time. A position that is after it is of another PostgreSQL server, from before the database was
   * restored or moved: no row comes after it.
   */
  end: FeedPosition;
}

/**
 * The rows after a position, in the same order for every reader. It leaves out rows of transactions that are not older than
 * every open one, because a later commit can come before them.
 * @param until the position of the last row; default: the end
 */
export async function readFeed(
  pool: Pool,
  after: FeedPosition,
  until: FeedPosition | undefined,
  limit: number,
): Promise<FeedPage> {
  const { rows } = await pool.query<{ end: string } & (FeedRow | { xid: null })>({
    name: 'feed-read',
    text: `WITH here AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon)
      SELECT horizon::text AS end, f.xid::text, f.id::text, kind, items FROM here LEFT JOIN LATERAL (
        SELECT * FROM feed
        WHERE (xid, id) > ($1::xid8, $2::bigint) AND xid < horizon
          AND ($3::xid8 IS NULL OR (xid, id) <= ($3::xid8, $4::bigint))
        ORDER BY xid, id LIMIT $5) f ON true
      ORDER BY f.xid, f.id`,
    values: [after.xid, after.id, until?.xid ?? null, until?.id ?? null, limit],
  });
  return {
    rows: rows.filter((row) => row.xid !== null),
    end: { xid: rows[0]!.end, id: '0' },
  };
}

/**
 * Checks that readers get the rows that are there. A row from before the database was restored or moved, whose transaction id this
 * server has not come to, waits for nobody: the readers pass it.
 * @throws while the oldest row that no reader gets yet has waited for 15 s, with the transaction that it waits for
 */
export async function checkFeed(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ seconds: number }>({
    name: 'feed-held',
    text: `WITH here AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot)
      SELECT extract(epoch FROM clock_timestamp() - f.created_at)::float8 AS seconds FROM here CROSS JOIN LATERAL (
        SELECT created_at FROM feed WHERE xid >= pg_snapshot_xmin(snapshot) AND xid < pg_snapshot_xmax(snapshot)
        ORDER BY xid, id LIMIT 1) f`,
  });
  const [oldest] = rows;
  if (!oldest || oldest.seconds * 1_000 < heldMs) return;
  const holder = await describeHolder(pool);
  throw new StreamsError(
    'ERR_LIVE_STREAM_HELD',
    `the live stream has stood still for ${Math.round(oldest.seconds)} s${holder ? `: ${holder}` : ''}`,
  );
}

/** Deletes rows that are older than `keepMs`, at most `limit` of them. @returns how many it has deleted */
export async function trimFeed(pool: Pool, keepMs: number, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM feed USING (SELECT id FROM feed ORDER BY id LIMIT $2) oldest
     WHERE feed.id = oldest.id AND feed.created_at < now() - $1 * interval '1 ms'`,
    [keepMs, limit],
  );
  return rowCount ?? 0;
}
