import type { Pool } from '#platform/postgres';

/** How far a rebuild is, as the service that does it says. */
export interface Rebuild {
  version: number;
  phase: 'Requested' | 'Building' | 'Switched' | 'Failed' | 'Cancelled';
  events: number;
  /** undefined until it is known */
  lag: number | undefined;
  error: string | undefined;
}

/** Whether the group has a read model that can be built anew, as its service says. */
export async function hasReadModel(pool: Pool, group: string): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(
    'SELECT EXISTS (SELECT FROM millrace.projections WHERE consumer_group = $1) AS found',
    [group],
  );
  return rows[0]!.found;
}

/**
 * Asks the service to build its read model anew; asking again with the same name asks for nothing more.
 * @returns undefined where another rebuild of the group is under way
 */
export async function askForRebuild(pool: Pool, group: string, request: string): Promise<Rebuild | undefined> {
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

/** Gives a rebuild up, if it is not at its end; the version in use stays. */
export async function cancelRebuild(pool: Pool, request: string, reason: string): Promise<void> {
  await pool.query(
    `UPDATE millrace.projection_rebuilds SET phase = 'Cancelled', error = $2, finished_at = now()
     WHERE request = $1 AND phase IN ('Requested', 'Building')`,
    [request, reason],
  );
}
