import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';

import type { PoolClient } from 'pg';

import { isLockFailure, messageOf, PlatformError } from '#platform/errors';
import { MigrationError } from './migrate.ts';
import { splitStatements } from './statements.ts';

/** The parts of the platform that have tables, in the order in which their migrations are applied. */
const parts = ['migrate', 'outbox', 'inbox', 'projection'];

/** The advisory lock of Prisma's engine: the platform's migrations and the service's are applied under one lock. */
const migrationLock = 72_707_369;

/** How long a statement may wait for a table, and make others wait behind it: less than PostgreSQL takes to see a deadlock. */
const lockTimeoutMs = 800;
const retryMs = 200;
const giveUpAfterMs = 60_000;

interface PlatformMigration {
  /** `<part>/<file without .sql>` */
  name: string;
  file: string;
  script: string;
  checksum: string;
}

/** A statement that PostgreSQL refused, and where it stands. */
class FailedStatement extends PlatformError {
  override name = 'FailedStatement';

  constructor(message: string, options: ErrorOptions) {
    super('ERR_MIGRATION_FAILED', message, options);
  }
}

/** The migrations of the platform's own tables, in the order in which they are applied. */
export function platformMigrations(): PlatformMigration[] {
  return parts.flatMap((part) => {
    const folder = fileURLToPath(new URL(`../${part}/sql/`, import.meta.url));
    return readdirSync(folder)
      .filter((file) => file.endsWith('.sql'))
      .toSorted()
      .map((file) => {
        const script = readFileSync(folder + file, 'utf8');
        const checksum = createHash('sha256').update(script).digest('hex');
        return {
          name: `${part}/${file.slice(0, -'.sql'.length)}`,
          file: `platform/${part}/sql/${file}`,
          script,
          checksum,
        };
      });
  });
}

/**
 * Applies the platform's migrations that the database does not have yet, all or none, and writes them down in
 * `millrace.migrations`. To lock a table that a service uses, it waits
 * for a short time and tries again; the service continues between the tries.
 * @param session takes the lock, which it keeps until it ends: the service's migrations follow in it
 * @returns the names of the migrations that were applied now
 * @throws MigrationError where one was changed afterwards, FailedStatement, or what PostgreSQL says
 */
export async function migratePlatform(session: PoolClient, database: string): Promise<string[]> {
  await session.query('SELECT pg_advisory_lock($1)', [migrationLock]);
  for (const end = performance.now() + giveUpAfterMs; ; await delay(retryMs)) {
    try {
      return await applyPending(session, database);
    } catch (error) {
      await session.query('ROLLBACK');
      const reason = error instanceof FailedStatement ? error.cause : error;
      if (!isLockFailure(reason) || performance.now() > end) throw error;
    }
  }
}

async function applyPending(session: PoolClient, database: string): Promise<string[]> {
  await session.query('BEGIN');
  await session.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
  const applied = await appliedChecksums(session);
  if (!applied) {
    await session.query(`CREATE SCHEMA IF NOT EXISTS millrace;
      CREATE TABLE millrace.migrations (
        name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz(3) NOT NULL DEFAULT now())`);
  }
  const pending: string[] = [];
  for (const migration of platformMigrations()) {
    const { name, file, checksum } = migration;
    const known = applied?.get(name);
    if (known === checksum) continue;
    if (known !== undefined)
      throw new MigrationError(
        'ERR_MIGRATION_EDITED',
        `The migration ${file} was changed after database ${database} had it.`,
      );
    await apply(session, migration);
    await session.query('INSERT INTO millrace.migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
    pending.push(name);
  }
  await session.query('COMMIT');
  return pending;
}

/** @returns undefined where the platform has no tables in the database yet */
async function appliedChecksums(session: PoolClient): Promise<Map<string, string> | undefined> {
  const { rows: found } = await session.query<{ found: boolean }>(
    `SELECT to_regclass('millrace.migrations') IS NOT NULL AS found`,
  );
  if (!found[0]!.found) return undefined;
  const { rows } = await session.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM millrace.migrations',
  );
  return new Map(rows.map(({ name, checksum }) => [name, checksum]));
}

/** Statement by statement, so that a failure names the one that it is of. */
async function apply(session: PoolClient, { file, script }: PlatformMigration): Promise<void> {
  for (const { text, line } of splitStatements(script)) {
    try {
      await session.query(text);
    } catch (cause) {
      throw new FailedStatement(`${file}:${line}: ${messageOf(cause)}, in\n${text}`, { cause });
    }
  }
}
