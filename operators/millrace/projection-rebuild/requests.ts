import { rebuildPhases } from '#platform/declarations';
import type { RebuildPhase } from '#platform/declarations';
import type { Pool } from '#platform/postgres';

/** A rebuild, as the service that builds has recorded it. */
export interface Rebuild {
  version: number;
  phase: RebuildPhase;
  events: number;
  /** undefined while it is unknown */
  lag: number | undefined;
  error: string | undefined;
}

/** Whether the database has a read model that can be rebuilt. */
export async function hasReadModel(pool: Pool, group: string): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(
    'SELECT EXISTS (SELECT FROM millrace.projections WHERE consumer_group = $1) AS found',
    [group],
  );
  return rows[0]!.found;
}

/**
 * Requests a rebuild from the service. A second call with the same name requests nothing more.
 * @returns undefined where another rebuild of the group is in progress
 */
export async function requestRebuild(pool: Pool, group: string, request: string): Promise<Rebuild | undefined> {
  const known = await findRebuild(pool, request);
  if (known) return known;
  await pool.query(
    'INSERT INTO millrace.projection_rebuilds (consumer_group, request) VALUES ($1, $2) ON CONFLICT DO NOTHING',
    [group, request],
  );
  return findRebuild(pool, request);
}

export async function findRebuild(pool: Pool, request: string): Promise<Rebuild | undefined> {
  const { rows } = await pool.query<{
    version: number;
    phase: Rebuild['phase'];
    events: string;
    lag: string | null;
    error: string | null;
  }>('SELECT version, phase, events, lag, error FROM millrace.projection_rebuilds WHERE request = $1', [request]);
  const [row] = rows;
  if (!row) return undefined;
  const { version, phase, events, lag, error } = row;
  return {
    version,
    phase,
    events: Number(events),
    lag: lag === null ? undefined : Number(lag),
    error: error ?? undefined,
  };
}

/** Cancels a rebuild that has not finished; the version in use stays. */
export async function cancelRebuild(pool: Pool, request: string, reason: string): Promise<void> {
  await pool.query(
    `UPDATE millrace.projection_rebuilds SET phase = 'Cancelled', error = $2, finished_at = now()
     WHERE request = $1 AND phase = ANY ($3)`,
    [request, reason, rebuildPhases.active],
  );
}
