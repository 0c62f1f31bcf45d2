import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import pg from 'pg';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { roleOf, withClient } from '#platform/postgres';
import { migrate } from '#platform/migrate';
import { platformMigrations } from '#platform/migrate/platform.ts';

import { eventually } from './eventually.ts';
import { testServers } from './servers.ts';

/** A separate, migrated database of a test. */
export interface TestDatabase {
  /** Connection string of the role that owns the database, as a service has it. */
  url: string;
  pool: pg.Pool;
  /** Ends the pool and every other connection, and drops the database. */
  drop(): Promise<void>;
}

const templates = new Map<string, Promise<string>>();

/** The role that owns databases with only the platform's tables. */
const bare = 'bare';

/**
 * Makes a database with the platform's tables and those of `prisma/<schema>`, if a schema is named. The migrations run once
 * for all tests: each test gets a copy.
 * @example const database = await createTestDatabase('orders-read');
 */
export async function createTestDatabase(schema = bare): Promise<TestDatabase> {
  const { postgres } = testServers();
  const template = await (templates.get(schema) ?? prepareTemplate(postgres, schema));
  const name = `t_${roleOf(schema)}_${randomBytes(6).toString('hex')}`;
  await withClient(postgres, async (client) => {
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template} OWNER ${client.escapeIdentifier(roleOf(schema))}`);
  });
  return openDatabase(name, databaseUrl(postgres, name, roleOf(schema)));
}

/** Makes another database of a test as it is now, with the same owner. Nobody else may be connected to it. */
export async function copyDatabase(original: TestDatabase): Promise<TestDatabase> {
  const { postgres } = testServers();
  const url = new URL(original.url);
  const from = url.pathname.slice(1);
  url.pathname = `${from}_copy`;
  await withClient(postgres, async (client) => {
    const owner = client.escapeIdentifier(url.username);
    await eventually(async () => {
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [from]);
      await client.query(`CREATE DATABASE ${from}_copy TEMPLATE ${from} OWNER ${owner}`);
      return true;
    }, 'the copy');
  });
  return openDatabase(`${from}_copy`, url.href);
}

function openDatabase(name: string, url: string): TestDatabase {
  const { postgres } = testServers();
  // Hooks outside a suite run when nothing else keeps the process alive: idle connections must not.
  const pool = new pg.Pool({ connectionString: url, max: 8, allowExitOnIdle: true });
  pool.on('error', () => undefined);
  return {
    url,
    pool,
    drop: async () => {
      await pool.end();
      await withClient(postgres, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

/** The template's name depends on its migrations, so that kept servers serve a changed migration, too. */
function prepareTemplate(postgres: string, schema: string): Promise<string> {
  const hash = createHash('sha256');
  for (const { name, checksum } of platformMigrations()) hash.update(name).update(checksum);
  const schemaFolder = schema === bare ? undefined : fileURLToPath(new URL(`../../prisma/${schema}`, import.meta.url));
  if (schemaFolder !== undefined) {
    const migrations = join(schemaFolder, 'migrations');
    for (const file of readdirSync(migrations, { recursive: true, encoding: 'utf8' }).toSorted())
      if (file.endsWith('.sql')) hash.update(file).update(readFileSync(join(migrations, file)));
  }
  const name = `template_${roleOf(schema)}_${hash.digest('hex').slice(0, 12)}`;

  const prepared = withClient(postgres, async (client) => {
    // Each test file has its own process: the first one makes the template, the others wait for it.
    await client.query('SELECT pg_advisory_lock(hashtext($1))', ['millrace test templates']);
    const { rows } = await client.query<{ ready: boolean }>(
      'SELECT NOT datallowconn AS ready FROM pg_database WHERE datname = $1',
      [name],
    );
    if (rows[0]?.ready) return name;
    if (rows[0]) await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await ensureDatabases(postgres, [schema]);
    await client.query(`CREATE DATABASE ${name} OWNER ${client.escapeIdentifier(roleOf(schema))}`);
    const target = { url: databaseUrl(postgres, name, roleOf(schema)), database: name };
    await migrate([schemaFolder === undefined ? target : { ...target, schemaFolder }]);
    // PostgreSQL refuses to copy a database with connections.
    await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
    return name;
  });
  templates.set(schema, prepared);
  return prepared;
}
