import { rebuildPhases } from '#platform/declarations';
import type { ActivePhase } from '#platform/declarations';
import type { Pool, PoolClient } from '#platform/postgres';
import type { Look } from './logs.ts';

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

/** The request that was cancelled while nothing worked on it: its tables, in this schema, are left. */
export async function abandonedRequest(
  db: Pool | PoolClient,
  group: string,
  schema: string,
): Promise<Omit<Request, 'phase'> | undefined> {
  const { rows } = await db.query<Omit<Request, 'phase'>>(
    `SELECT version, consumer_group AS "group" FROM millrace.projection_rebuilds
     WHERE consumer_group = $1 AND phase = 'Cancelled' AND to_regnamespace($2) IS NOT NULL
       AND NOT EXISTS (SELECT FROM millrace.projection_rebuilds WHERE phase = ANY ($3))
     ORDER BY version DESC LIMIT 1`,
    [group, schema, rebuildPhases.active],
  );
  return rows[0];
}

export async function beginBuilding(tx: PoolClient, version: number): Promise<void> {
  await tx.query("UPDATE millrace.projection_rebuilds SET phase = 'Building' WHERE version = $1", [version]);
}

/** Keeps the figures of before where there are none. @returns false if the request is cancelled */
export async function noteProgress(
  pool: Pool,
  version: number,
  { figures, obstacle }: Pick<Look, 'figures' | 'obstacle'>,
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE millrace.projection_rebuilds SET events = coalesce($2, events), lag = coalesce($3, lag), error = $4
     WHERE version = $1 AND phase = 'Building'`,
    [version, figures ? String(figures.events) : null, figures ? String(figures.lag) : null, obstacle ?? null],
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
