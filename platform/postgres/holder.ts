import type { Pool, PoolClient } from 'pg';

interface Holder {
  /** its process; null for a prepared transaction */
  pid: number | null;
  name: string;
  /** in seconds; null where this role may not see it */
  age: number | null;
}

// pg_stat_activity shows the transaction ids of other roles only to superusers, pg_locks to everybody
const holderStatement = `
  SELECT l.pid, coalesce(nullif(a.application_name, ''), 'no application_name') AS name,
    round(extract(epoch FROM clock_timestamp() - a.xact_start))::int AS age
  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
  WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
    AND l.transactionid = pg_snapshot_xmin(pg_current_snapshot())::xid
  LIMIT 1`;

/**
 * A sentence about the oldest open transaction of the server that has a transaction id: it can still write rows that come before those
 * that are there. Undefined where there is none.
 */
export async function describeHolder(db: Pool | PoolClient): Promise<string | undefined> {
  const { rows } = await db.query<Holder>(holderStatement);
  const [holder] = rows;
  if (!holder) return undefined;
  const { pid, name, age } = holder;
  const open = age === null ? 'open' : `open for ${age} s`;
  return `the transaction of process ${pid ?? '(prepared)'} of PostgreSQL (${name}) is ${open} and can write earlier events`;
}
