import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

import { SchemaEngine, type MigrationList } from '@prisma/schema-engine-wasm';
import pg from 'pg';

import { messageOf } from '#platform/errors';
import { assertSessions, connectionOf } from '#platform/postgres';
import { migrationAdapter } from './adapter.ts';
import { migrationNames } from './folder.ts';
import { MigrationError, type MigrationOutcome, type MigrationTarget } from './migrate.ts';
import { migratePlatform } from './platform.ts';
import { splitStatements } from './statements.ts';

const NO_FILTERS = { externalTables: [], externalEnums: [] };

/** @returns the names of the migrations that were applied now: the platform's, then the service's own */
async function migrateOne(target: MigrationTarget): Promise<string[]> {
  const { url, database, schemaFolder } = target;
  // One session for both: it holds their lock until it ends, which is when the pool ends.
  const pool = new pg.Pool({ ...connectionOf(url), max: 1, idleTimeoutMillis: 0 });
  try {
    const platform = await applyPlatform(pool, database);
    const own = schemaFolder === undefined ? [] : await migrateService(pool, { ...target, schemaFolder });
    return [...platform, ...own];
  } finally {
    await pool.end();
  }
}

async function applyPlatform(pool: pg.Pool, database: string): Promise<string[]> {
  try {
    await assertSessions(pool); // the lock is the session's
    const session = await pool.connect();
    return await migratePlatform(session, database).finally(() => session.release());
  } catch (error) {
    if (error instanceof MigrationError) throw error;
    throw new MigrationError(
      'ERR_MIGRATION_FAILED',
      `Database ${database} could not be migrated: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

type ServiceTarget = Required<MigrationTarget>;

async function migrateService(pool: pg.Pool, target: ServiceTarget): Promise<string[]> {
  const { database, schemaFolder } = target;
  const schemaFile = join(schemaFolder, 'schema.prisma');
  const migrationsList = readMigrations(schemaFolder);
  const datamodels: [string, string][] = [[schemaFile, readFileSync(schemaFile, 'utf8')]];
  const engine = await SchemaEngine.new({ datamodels }, () => undefined, migrationAdapter(pool));
  try {
    const history = await engine.diagnoseMigrationHistory({
      migrationsList,
      optInToShadowDatabase: false,
      filters: NO_FILTERS,
    });
    const edited = history.editedMigrationNames.find((name) => !history.failedMigrationNames.includes(name));
    if (edited !== undefined)
      throw new MigrationError(
        'ERR_MIGRATION_EDITED',
        `The migration ${schemaFolder}/migrations/${edited} was changed after database ${database} had it.`,
      );
    // A script is one transaction: what failed has left nothing behind and may be tried again.
    for (const migrationName of history.failedMigrationNames) await engine.markMigrationRolledBack({ migrationName });
    const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters: NO_FILTERS });
    return appliedMigrationNames;
  } catch (error) {
    throw error instanceof MigrationError ? error : await describeFailure(error, target);
  } finally {
    engine.free();
  }
}

function readMigrations(schemaFolder: string): MigrationList {
  const baseDir = join(schemaFolder, 'migrations');
  const lockfile = join(baseDir, 'migration_lock.toml');
  return {
    baseDir,
    lockfile: { path: 'migration_lock.toml', content: existsSync(lockfile) ? readFileSync(lockfile, 'utf8') : null },
    shadowDbInitScript: '',
    migrationDirectories: migrationNames(schemaFolder).map((path) => ({
      path,
      migrationFile: {
        path: 'migration.sql',
        content: { tag: 'ok', value: readFileSync(join(baseDir, path, 'migration.sql'), 'utf8') },
      },
    })),
  };
}

/**
 * The engine names the migration and PostgreSQL's error, but not the statement: the failed script is run again, statement by
 * statement, in a transaction that is rolled back.
 */
async function describeFailure(error: unknown, target: ServiceTarget): Promise<MigrationError> {
  const { database } = target;
  const what = messageOf(error);
  const failed = await failedStatement(target).catch(() => undefined);
  if (failed === undefined)
    return new MigrationError('ERR_MIGRATION_FAILED', `Database ${database} could not be migrated: ${what}`, {
      cause: error,
    });
  const shown = failed.text.length > 400 ? `${failed.text.slice(0, 400)} ...` : failed.text;
  return new MigrationError(
    'ERR_MIGRATION_FAILED',
    `Database ${database} could not be migrated: ${failed.at}: ${failed.reason}, in\n${shown}`,
    { cause: error },
  );
}

async function failedStatement({ url, schemaFolder }: ServiceTarget) {
  const client = new pg.Client(connectionOf(url));
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT migration_name AS name FROM _prisma_migrations
        WHERE finished_at IS NULL AND rolled_back_at IS NULL ORDER BY started_at DESC LIMIT 1`,
    );
    const name = rows[0]?.name;
    if (name === undefined) return undefined;
    const file = join(schemaFolder, 'migrations', name, 'migration.sql');
    await client.query('BEGIN');
    for (const { text, line } of splitStatements(readFileSync(file, 'utf8'))) {
      try {
        await client.query(text);
      } catch (cause) {
        return { at: `${file}:${line}`, text, reason: messageOf(cause) };
      }
    }
    return undefined;
  } finally {
    await client.end();
  }
}

async function migrateAll(targets: MigrationTarget[]): Promise<MigrationOutcome> {
  const applied: { database: string; migrations: string[] }[] = [];
  for (const target of targets) {
    try {
      applied.push({ database: target.database, migrations: await migrateOne(target) });
    } catch (error) {
      const { code, message } = error as MigrationError;
      return { applied, failure: { code, message } };
    }
  }
  return { applied };
}

parentPort?.postMessage(await migrateAll(workerData as MigrationTarget[]));
