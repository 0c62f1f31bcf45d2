import { rebuildPhases } from '#platform/declarations';
import type { ActivePhase } from '#platform/declarations';
import type { Pool, PoolClient } from '#platform/postgres';

/** A request that is not finished. */
export interface Request {
  version: number;
  group: string;
  phase: ActivePhase;
}

/** Says that the group has a read model that can be built anew. */
export async function announceProjection(pool: Pool, group: string): Promise<void> {
  await pool.query('INSERT INTO millrace.projections (consumer_group) VALUES ($1) ON CONFLICT DO NOTHING', [group]);
}

/** The request to work on. */
export async function activeRequest(db: Pool | PoolClient, group: string): Promise<Request | undefined> {
  const { rows } = await db.query<Request>(
    `SELECT version, consumer_group AS "group", phase FROM millrace.projection_rebuilds
     WHERE consumer_group = $1 AND phase = ANY ($2)`,
    [group, rebuildPhases.active],
  );
  return rows[0];
}

export async function beginBuilding(tx: PoolClient, version: number): Promise<void> {
  await tx.query("UPDATE millrace.projection_rebuilds SET phase = 'Building' WHERE version = $1", [version]);
}

/** @returns false if the request is cancelled */
export async function noteProgress(pool: Pool, version: number, events: bigint, lag: bigint): Promise<boolean> {
  const { rowCount } = await pool.query(
    "UPDATE millrace.projection_rebuilds SET events = $2, lag = $3 WHERE version = $1 AND phase = 'Building'",
    [version, String(events), String(lag)],
  );
  return rowCount === 1;
}

export async function finish(db: Pool | PoolClient, version: number, error?: string): Promise<void> {
  await db.query(
    `UPDATE millrace.projection_rebuilds SET phase = CASE WHEN $2::text IS NULL THEN 'Switched' ELSE 'Failed' END,
       lag = CASE WHEN $2::text IS NULL THEN 0 ELSE lag END, error = $2, finished_at = now()
     WHERE version = $1 AND phase = 'Building'`,
    [version, error ?? null],
  );
}
