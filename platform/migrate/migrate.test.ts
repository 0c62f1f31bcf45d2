import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { withClient } from '#platform/postgres';

import { startPooler, withoutPooler as skip } from '#test/pooler.ts';
import { testServers } from '#test/servers.ts';
import { MigrationError, migrate } from './migrate.ts';
import { platformMigrations } from './platform.ts';

const { postgres } = testServers();
const SCHEMA = `generator client {
  provider = "prisma-client"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
`;

describe('migrate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-migrate-'));
  const database = `t_migrate_${randomBytes(4).toString('hex')}`;
  const url = databaseUrl(postgres, database);
  const write = (name: string, sql: string): void => {
    mkdirSync(join(folder, 'migrations', name), { recursive: true });
    writeFileSync(join(folder, 'migrations', name, 'migration.sql'), sql);
  };
  const run = async (): Promise<string[]> =>
    (await migrate([{ url, database, schemaFolder: folder }])).flatMap(({ migrations }) => migrations);
  const failure = async (): Promise<MigrationError> => {
    const error: unknown = await run().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof MigrationError, String(error));
    return error;
  };

  before(async () => {
    await ensureDatabases(postgres, [database]);
    writeFileSync(join(folder, 'schema.prisma'), SCHEMA);
    mkdirSync(join(folder, 'migrations'));
    writeFileSync(join(folder, 'migrations/migration_lock.toml'), 'provider = "postgresql"\n');
  });
  after(async () => {
    await withClient(postgres, async (client) => {
      await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await client.query(`DROP ROLE ${database}`);
    });
    rmSync(folder, { recursive: true });
  });

  test('names file, line and statement of a failure of the platform, and leaves nothing behind', async () => {
    const migrations = "SELECT to_regclass('millrace.migrations') AS found";
    await withClient(url, async (client) => {
      await client.query('CREATE SCHEMA millrace CREATE TABLE projections ()');
      const { message, code } = await failure();
      assert.equal(code, 'ERR_MIGRATION_FAILED');
      assert.match(message, /platform\/projection\/sql\/0001_projections\.sql:2: .* already exists, in\nCREATE TABLE/);
      assert.deepEqual((await client.query(migrations)).rows, [{ found: null }]);
      await client.query('DROP SCHEMA millrace CASCADE');
    });
  });

  test('applies each migration once, and writes it down', async () => {
    // Semicolons where a script must not be cut.
    write('0001_init', "CREATE TABLE a (x text DEFAULT 'a;b'); -- one; two\nDO $$ BEGIN PERFORM 1; PERFORM 2; END $$;");
    assert.deepEqual(await run(), [...platformMigrations().map(({ name }) => name), '0001_init']);
    assert.deepEqual(await run(), []);
    const { rows } = await withClient(url, (client) =>
      client.query('SELECT migration_name, applied_steps_count FROM _prisma_migrations WHERE finished_at IS NOT NULL'),
    );
    assert.deepEqual(rows, [{ migration_name: '0001_init', applied_steps_count: 1 }]);
  });

  test('names file, line and statement of a failure, leaves nothing of it behind, and applies it when it is fixed', async () => {
    write('0002_more', "CREATE TABLE b (x int);\n\nINSERT INTO b VALUES ('one');\nCREATE TABLE c ();");
    for (const _ of [1, 2]) {
      const { message } = await failure();
      assert.ok(
        message.includes(`${folder}/migrations/0002_more/migration.sql:3: invalid input syntax for type integer`),
        message,
      );
      assert.ok(message.endsWith("INSERT INTO b VALUES ('one')"), message);
    }
    write('0002_more', 'CREATE TABLE b (x int);');
    assert.deepEqual(await run(), ['0002_more']);
  });

  test('is refused behind a pooler of transactions, whose locks are of other sessions', { skip }, async (t) => {
    const { host } = new URL(await startPooler(t, 'transaction'));
    const pooled = Object.assign(new URL(url), { host }).href;
    await assert.rejects(migrate([{ url: pooled, database }]), {
      code: 'ERR_MIGRATION_FAILED',
      message: /could not be migrated: a pooler in transaction mode is between/,
    });
  });

  test('refuses a migration that was changed afterwards', async () => {
    write('0002_more', 'CREATE TABLE b (x bigint);');
    const { message, code } = await failure();
    assert.match(message, /0002_more was changed after database .* had it\.$/);
    assert.equal(code, 'ERR_MIGRATION_EDITED');
  });

  test('refuses a migration of the platform that was changed afterwards', async () => {
    const change = "UPDATE millrace.migrations SET checksum = 'another' WHERE name = 'inbox/0001_inbox'";
    await withClient(url, (client) => client.query(change));
    const { message, code } = await failure();
    assert.match(message, /platform\/inbox\/sql\/0001_inbox\.sql was changed after database .* had it\.$/);
    assert.equal(code, 'ERR_MIGRATION_EDITED');
  });
});
