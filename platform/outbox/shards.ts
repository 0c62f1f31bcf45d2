import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from '#platform/postgres';
import type { LeasedCursor } from './cursor.ts';

/** How long a lease lasts without a renewal, in milliseconds: longer than a send can take. */
export const leaseMs = 10_000;

const followPollMs = 250;

/** A relay that was not seen for this time, in milliseconds, counts as ended: it misses two renewals. */
const presentMs = 6_000;

/**
 * The shards of one relay. A shard goes to the same relay in whatever list it is, so that relays that know of more shards and
 * of fewer can run side by side, and all of them need no coordinator.
 * @param shards those of the outbox
 * @param alive the running relays, in the same order for all of them
 */
export function fairShare(shards: readonly number[], alive: readonly string[], self: string): number[] {
  const rank = alive.indexOf(self);
  return rank < 0 ? [] : shards.filter((shard) => shard % alive.length === rank);
}

/** The shards of the outbox, as the migrations have made them, and the name of its database. */
export async function readOutboxShards(session: PoolClient): Promise<{ database: string; shards: number[] }> {
  const { rows } = await session.query<{ database: string; shards: number[] }>(
    'SELECT current_database() AS database, ARRAY(SELECT shard FROM millrace.outbox_shards ORDER BY shard) AS shards',
  );
  return rows[0]!;
}

/**
 * The name of a relay's session. Each has its own: what the server has still to do for an earlier one, whose process hung and goes on,
 * changes no cursor. The relay's place among the others does not change with it.
 */
export function sessionOwner(relay: string, session: number): string {
  return `${sessionsOf(relay)}${session}`;
}

/** How the names of all sessions of a relay begin. */
const sessionsOf = (relay: string) => `${relay}/`;

/**
 * Gives the shards of earlier sessions of a relay to its present one, with their leases. Those that the earlier one has locked, as a
 * process of the server that hangs in a statement does, stay behind until then.
 */
export async function takeOver(
  session: PoolClient,
  { from, to }: { from: readonly string[]; to: string },
): Promise<void> {
  await session.query(
    `UPDATE millrace.outbox_shards SET owner = $2
     WHERE shard IN (SELECT shard FROM millrace.outbox_shards WHERE owner = ANY($1) FOR UPDATE SKIP LOCKED)`,
    [from, to],
  );
}

/**
 * Announces this relay to the others, and finds those that run. A lock of the session would announce it, too, but a session that
 * does not answer keeps its locks: those of an earlier session of this relay are not waited for.
 * @returns the owners of all running relays, in the same order for all of them
 */
export async function announce(
  session: PoolClient,
  { relay, owner }: { relay: string; owner: string },
): Promise<string[]> {
  const { rows } = await session.query<{ owner: string }>({
    name: 'outbox-announce',
    text: `WITH self AS (
        INSERT INTO millrace.outbox_relays AS r (owner, seen_at) VALUES ($1, clock_timestamp())
        ON CONFLICT (owner) DO UPDATE SET seen_at = excluded.seen_at
      ), ended AS (
        DELETE FROM millrace.outbox_relays WHERE owner IN (
          SELECT owner FROM millrace.outbox_relays
          WHERE (seen_at < clock_timestamp() - interval '1 hour' OR starts_with(owner, $3)) AND owner <> $1
          FOR UPDATE SKIP LOCKED))
      SELECT owner FROM millrace.outbox_relays
      WHERE seen_at > clock_timestamp() - $2 * interval '1 ms' AND NOT starts_with(owner, $3)`,
    values: [owner, presentMs, sessionsOf(relay)],
  });
  return [owner, ...rows.map((row) => row.owner)].toSorted();
}

/**
 * Renews the leases of the shards in `share` and `keep`, releases the others, and takes the free ones of `share`. It waits for no
 * shard that another session has locked: the process of that one may hang, and the others must go on.
 * @returns the shards that this relay owns for `leaseMs`, with their stored cursors; whether one of these may be of another
 * server: its transaction id is one that this server has not reached; and the time of the server, in milliseconds since 1970,
 * undefined where there is no shard for this relay
 */
export async function renewShards(
  session: PoolClient,
  owner: string,
  { share, keep }: { share: readonly number[]; keep: readonly number[] },
): Promise<{ cursors: LeasedCursor[]; isAhead: boolean; now: number | undefined }> {
  const { rows } = await session.query<{
    shard: number;
    xid: string;
    id: string;
    owner: string | null;
    kept: boolean | null;
    ahead: boolean;
    now: number;
  }>(
    `WITH before AS (
       SELECT shard, owner FROM millrace.outbox_shards
       WHERE owner = $1
         OR (shard = ANY($2::smallint[]) AND (owner IS NULL OR lease_until IS NULL OR lease_until < clock_timestamp()))
       ORDER BY shard FOR UPDATE SKIP LOCKED)
     UPDATE millrace.outbox_shards s SET
       owner = CASE WHEN s.shard = ANY($2::smallint[] || $4::smallint[]) THEN $1 END,
       lease_until = CASE WHEN s.shard = ANY($2::smallint[] || $4::smallint[])
         THEN clock_timestamp() + $3 * interval '1 ms' END
     FROM before b WHERE s.shard = b.shard
     RETURNING s.shard, s.xid::text AS xid, s.id::text AS id, s.owner, b.owner = $1 AS kept,
       s.xid > pg_snapshot_xmin(pg_current_snapshot()) AS ahead,
       extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`,
    [owner, share, leaseMs, keep],
  );
  const cursors = rows
    .filter((row) => row.owner === owner)
    .map(({ shard, xid, id, kept }) => ({ shard, xid: Number(xid), id: Number(id), isTaken: kept !== true }));
  return { cursors, isAhead: rows.some((row) => row.ahead), now: rows[0]?.now };
}

/**
 * Waits until each relay has read what is decided now. One that does not renew its leases sends nothing when these have ended.
 * @param deadline by the clock of `performance.now()`
 * @returns false if one of them has not read it until then
 */
export async function untilRelaysFollow(database: Pick<Pool, 'query'>, deadline: number): Promise<boolean> {
  const { rows } = await database.query<{ now: string }>('SELECT clock_timestamp()::text AS now');
  for (;;) {
    const { rowCount } = await database.query(
      `SELECT FROM millrace.outbox_relays
       WHERE seen_at <= $1::timestamptz AND seen_at > clock_timestamp() - $2 * interval '1 ms'`,
      [rows[0]!.now, leaseMs],
    );
    if (rowCount === 0) return true;
    if (performance.now() > deadline) return false;
    await sleep(followPollMs);
  }
}

/** Releases all shards of this session, so that another relay can take them at once. */
export async function releaseShards(session: PoolClient, owner: string): Promise<void> {
  await session.query(
    `WITH self AS (DELETE FROM millrace.outbox_relays WHERE owner = $1)
     UPDATE millrace.outbox_shards SET owner = NULL, lease_until = NULL WHERE owner = $1`,
    [owner],
  );
}
