import { answerMs, boundQueries, lockMs } from './bounded.ts';
import { messageOf, PlatformError } from '#platform/errors';
import type { PoolClient } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';

// The key of the advisory lock of the relay that numbers the rows of a database anew.
const numbering = { classid: 0x6d696c6c, objid: 2 };
const batchRows = 5_000;
/** how long a batch may take, in milliseconds: it reads past all published rows, where these are many */
const numberingMs = 600_000;

interface Outbox {
  /** the table or view that the relay reads */
  source: string;
  database: string;
  log: Logger;
}

/**
 * Makes sure that the transaction ids of the rows and cursors are those of this PostgreSQL server. After a restore or a move they
 * are of another one, and say nothing here: the relay would skip rows. Then all rows that may be unpublished get a transaction id
 * below all later ones, so that the relay publishes them in the order of their ids.
 * @returns whether the rows were numbered anew, so that no cursor from before is of use
 */
export async function settleServer(session: PoolClient, outbox: Outbox): Promise<boolean> {
  const server = await serverOf(session);
  if (await isSettled(session, server)) return false;
  const { rows } = await session.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS locked', [
    numbering.classid,
    numbering.objid,
  ]);
  if (!rows[0]!.locked)
    throw new PlatformError('ERR_UNAVAILABLE', 'another relay numbers the rows of the outbox for this server');
  try {
    if (await isSettled(session, server)) return true;
    await session.query('SET statement_timeout = 0; SET lock_timeout = 0');
    boundQueries(session, numberingMs);
    await renumber(session, outbox, server);
    return true;
  } finally {
    boundQueries(session, answerMs);
    await session.query(`SET lock_timeout = ${lockMs}`);
    await session.query('SELECT pg_advisory_unlock($1, $2)', [numbering.classid, numbering.objid]);
  }
}

/** The identity of a PostgreSQL server, which its physical copies share; null where this role may not see it. */
async function serverOf(session: PoolClient): Promise<string | null> {
  try {
    const { rows } = await session.query<{ server: string }>(
      'SELECT system_identifier::text AS server FROM pg_control_system()',
    );
    return rows[0]!.server;
  } catch (error) {
    if ((error as { code?: string }).code === '42501') return null; // not permitted
    throw error;
  }
}

/** Whether the cursors are of this server. No cursor of a server is ahead of its oldest open transaction. */
async function isSettled(session: PoolClient, server: string | null): Promise<boolean> {
  const { rows } = await session.query<{ differs: boolean; unknown: boolean; ahead: boolean }>(
    `SELECT bool_or(server <> $1) AS differs, bool_or(server IS NULL) AS unknown,
       bool_or(xid > pg_snapshot_xmin(pg_current_snapshot())) AS ahead FROM millrace.outbox_shards`,
    [server],
  );
  const { differs, unknown, ahead } = rows[0]!;
  if (differs || ahead) return false;
  if (unknown && server !== null)
    await session.query('UPDATE millrace.outbox_shards SET server = $1 WHERE server IS NULL', [server]);
  return true;
}

/**
 * Numbers the rows anew. Rows after `last_id` get the transaction id before that of the oldest open transaction; rows up to it
 * get one below the cursor, where theirs is higher. Later rows have higher ids of both kinds. It can be repeated at any point.
 */
async function renumber(session: PoolClient, { source, database, log }: Outbox, server: string | null): Promise<void> {
  const { rows: shards } = await session.query<{ shard: number; last: string; base: string }>(
    `SELECT shard, last_id::text AS last, (pg_snapshot_xmin(pg_current_snapshot())::text::numeric - 1)::text AS base
     FROM millrace.outbox_shards ORDER BY shard`,
  );
  const { base } = shards[0]!;
  let count = 0;
  for (const { shard, last } of shards) {
    let position = { xid: '0', id: '0', rows: batchRows };
    while (position.rows === batchRows) {
      position = await renumberBatch(session, source, [shard, position.xid, position.id, last, base]);
      count += position.rows;
    }
  }
  // what another relay has read before says nothing any more: without the shards it cannot store its cursors
  await session.query(
    `UPDATE millrace.outbox_shards SET xid = $1::xid8, id = last_id, server = coalesce($2, server),
       owner = NULL, lease_until = NULL`,
    [base, server],
  );
  log.warn(
    { database, rows: count, after: Object.fromEntries(shards.map(({ shard, last }) => [shard, last])) },
    'the database comes from another PostgreSQL server: what may be unpublished is published, some of it again',
  );
}

async function renumberBatch(session: PoolClient, source: string, values: unknown[]) {
  try {
    const { rows } = await session.query<{ rows: number; xid: string | null; id: string | null }>(
      `WITH due AS MATERIALIZED (
         SELECT o.xid, o.id FROM ${source} o
         WHERE o.shard = $1 AND (o.xid, o.id) > ($2::xid8, $3::bigint)
           AND CASE WHEN o.id > $4::bigint THEN o.xid <> $5::xid8 ELSE o.xid >= $5::xid8 END
         ORDER BY o.xid, o.id LIMIT ${batchRows}
       ), changed AS (
         UPDATE ${source} o SET xid = CASE WHEN o.id > $4::bigint THEN $5::xid8 ELSE '0' END
         FROM due WHERE o.shard = $1 AND o.xid = due.xid AND o.id = due.id)
       SELECT (SELECT count(*) FROM due)::int AS rows, last.* FROM (SELECT) one LEFT JOIN (
         SELECT xid::text, id::text FROM due ORDER BY due.xid DESC, due.id DESC LIMIT 1) last ON true`,
      values,
    );
    const { rows: count, xid, id } = rows[0]!;
    return { rows: count, xid: xid ?? '0', id: id ?? '0' };
  } catch (cause) {
    throw new PlatformError(
      'ERR_OUTBOX_CURSOR_AHEAD',
      `the database comes from another PostgreSQL server, and the relay cannot set the xid of the rows of ${source}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** The last ids of shards at a time, and what has to end until all ids up to them are settled. */
interface Mark {
  ids: Map<number, string>;
  /** all transactions below it; set one round later */
  xmax?: string;
}

/**
 * Keeps `last_id` behind the cursors. A row gets its id a moment before its transaction id, and commits later: so an id counts
 * once all transactions have ended that had an id one round after it was seen.
 */
export class PublishedIds {
  readonly #source: string;
  #seen: Mark | undefined;
  #waiting: Mark | undefined;

  constructor(source: string) {
    this.#source = source;
  }

  /** A round; they are some seconds apart. */
  async follow(session: PoolClient, owner: string): Promise<void> {
    if (this.#waiting) await this.#store(session, owner, this.#waiting);
    const { rows } = await session.query<{ shard: number; last: string; xmax: string; newest: string | null }>({
      name: 'outbox-newest',
      text: `SELECT s.shard, s.last_id::text AS last, pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
          (SELECT o.id FROM ${this.#source} o WHERE o.shard = s.shard ORDER BY o.xid DESC, o.id DESC LIMIT 1)::text AS newest
        FROM millrace.outbox_shards s WHERE s.owner = $1`,
      values: [owner],
    });
    const [first] = rows;
    if (this.#seen && first) this.#waiting ??= { ...this.#seen, xmax: first.xmax };
    const ids = rows.flatMap(({ shard, last, newest }) =>
      newest !== null && BigInt(newest) > BigInt(last) ? [[shard, newest] as const] : [],
    );
    this.#seen = ids.length > 0 ? { ids: new Map(ids) } : undefined;
  }

  async #store(session: PoolClient, owner: string, { ids, xmax }: Mark): Promise<void> {
    const { rows } = await session.query<{ ended: boolean }>({
      name: 'outbox-last-ids',
      text: `WITH mark AS MATERIALIZED (SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $4::xid8 AS ended),
        stored AS (
          UPDATE millrace.outbox_shards s SET last_id = m.id
          FROM unnest($2::smallint[], $3::bigint[]) AS m(shard, id)
          WHERE s.shard = m.shard AND s.owner = $1 AND s.last_id < m.id AND (SELECT ended FROM mark)
            AND NOT EXISTS (
              SELECT FROM ${this.#source} o
              WHERE o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id) AND o.xid < $4::xid8))
        SELECT ended FROM mark`,
      values: [owner, [...ids.keys()], [...ids.values()], xmax],
    });
    // where rows are unpublished the next mark is as good
    if (rows[0]!.ended) this.#waiting = undefined;
  }
}
