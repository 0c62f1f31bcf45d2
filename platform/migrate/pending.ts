import pg from 'pg';

import { connectionOf, endClient } from '#platform/postgres';
import { migrationNames } from './folder.ts';
import { platformMigrations } from './platform.ts';

const CONNECT_WITHIN_MS = 2_000;
/** PostgreSQL itself ends a question, as behind a lock, so that no session stays there when nobody waits for it any more. */
const ANSWER_WITHIN_MS = 10_000;
const SILENT_MS = ANSWER_WITHIN_MS + 2_000;
const UNDEFINED_TABLE = '42P01';

/**
 * The migrations of the platform and of a schema's folder that the database does not have yet. If the database has a migration
 * that the folder does not have, a later version has applied it; this version keeps working until it is replaced.
 * @throws where the database cannot be reached, or does not answer in time
 */
export async function pendingMigrations(url: string, schemaFolder: string): Promise<string[]> {
  const client = new pg.Client({
    ...connectionOf(url),
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    statement_timeout: ANSWER_WITHIN_MS,
    query_timeout: SILENT_MS,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const platform = await missing(
      client,
      platformMigrations().map(({ name }) => name),
      'SELECT name FROM millrace.migrations',
    );
    const own = await missing(
      client,
      migrationNames(schemaFolder),
      'SELECT migration_name AS name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL',
    );
    return [...platform, ...own];
  } finally {
    await endClient(client);
  }
}

/** @param sql selects the names of those that are applied */
async function missing(client: pg.Client, names: string[], sql: string): Promise<string[]> {
  try {
    const { rows } = await client.query<{ name: string }>(sql);
    const applied = new Set(rows.map(({ name }) => name));
    return names.filter((name) => !applied.has(name));
  } catch (error) {
    if ((error as { code?: string }).code === UNDEFINED_TABLE) return names;
    throw error;
  }
}
