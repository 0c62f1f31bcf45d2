import { hash } from '#runtime/compare.ts';
import type { Pool } from '#platform/postgres';
import type { EventService, EventServiceStatus } from '../api/event-service.ts';
import type { DatabasePools } from '../database-pools.ts';
import { answerWithin } from '../silent-servers.ts';

type DatabaseStatus = NonNullable<EventServiceStatus['databases']>[number];

/** The migrations that the databases of a service have, as the databases themselves say. */
export interface FoundMigrations {
  databases: DatabaseStatus[];
  /** identifies the migrations of all databases; undefined where one of them cannot be read */
  fingerprint: string | undefined;
  /** why a database cannot be read */
  failure: string | undefined;
}

const platformSql = 'SELECT name FROM millrace.migrations ORDER BY name';
const ownSql = `SELECT migration_name AS name FROM _prisma_migrations
  WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY migration_name`;
const undefinedTable = '42P01';

/** How long the migrations of a database may take to be read, in milliseconds. */
const timeoutMs = 8_000;

/** The reason where a database cannot be read. */
export const unreadable = 'DatabaseUnreadable';

/** Reads which migrations the databases of a service have. A database that cannot be read is left out. */
export async function findMigrations(
  service: EventService,
  pools: DatabasePools,
  signal: AbortSignal,
): Promise<FoundMigrations> {
  const { namespace = '' } = service.metadata;
  const failures: string[] = [];
  const read = async (database: string) => {
    const pool = await pools.get(namespace, database, signal);
    return pool && { own: await namesIn(pool, ownSql), platform: await namesIn(pool, platformSql) };
  };
  const found = await Promise.all(
    (service.spec.databases ?? []).map(async ({ name }) => {
      try {
        const names = await answerWithin(timeoutMs, 'PostgreSQL', read(name));
        if (names) return { name, ...names };
        failures.push(`the Secret of the database ${name} does not exist`);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push(`the database ${name} cannot be read: ${(error as Error).message}`);
      }
      return { name, own: undefined, platform: undefined };
    }),
  );
  return {
    databases: found.map(({ name, own }) => {
      const schemaVersion = own?.at(-1);
      return { name, ...(schemaVersion === undefined ? {} : { schemaVersion }) };
    }),
    fingerprint: failures.length === 0 ? hash(found).slice(0, 10) : undefined,
    failure: failures[0],
  };
}

/** @returns none where the table does not exist: the database is new */
async function namesIn(pool: Pool, sql: string): Promise<string[]> {
  try {
    const { rows } = await pool.query<{ name: string }>(sql);
    return rows.map(({ name }) => name);
  } catch (error) {
    if ((error as { code?: string }).code === undefinedTable) return [];
    throw error;
  }
}
