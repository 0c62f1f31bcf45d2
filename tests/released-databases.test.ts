import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';

import pg from 'pg';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { migrate } from '#platform/migrate';
import { dropDatabaseAndRole, withClient } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import { testServers } from '#test/servers.ts';
import { shapeOf } from '#test/shape.ts';

const { postgres } = testServers();
const schemas = fileURLToPath(new URL('../prisma/', import.meta.url));
const firstAfter = /_platform_tables$/;

/** The table of Prisma. */
const historySql = `CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL,
  finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
  started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)`;

// Version 0.1.0 had the platform's tables in `public`, made by the migrations of each service.
for (const schema of readdirSync(schemas)) {
  describe(`the database ${schema} of version 0.1.0`, () => {
    const name = `t_released_${schema.replaceAll('-', '_')}_${randomUUID().slice(0, 8)}`;
    const url = databaseUrl(postgres, name);
    const migrations = readdirSync(`${schemas}${schema}/migrations`).filter((file) => /^\d/.test(file));
    const releasedOnes = migrations.slice(
      0,
      migrations.findIndex((migration) => firstAfter.test(migration)),
    );
    let pool: pg.Pool;

    before(async () => {
      await ensureDatabases(postgres, [name]);
      pool = new pg.Pool({ connectionString: url, max: 2, allowExitOnIdle: true });
      // a closing connection can still learn that its database is dropped
      pool.on('connect', (client) => client.on('error', () => undefined));
      pool.on('error', () => undefined);
      await pool.query(historySql);
      for (const migration of releasedOnes) {
        const script = readFileSync(`${schemas}${schema}/migrations/${migration}/migration.sql`, 'utf8');
        await pool.query(script);
        await pool.query(
          `INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count)
           VALUES ($1, $2, now(), $3, 1)`,
          [randomUUID(), createHash('sha256').update(script).digest('hex'), migration],
        );
      }
    });
    after(async () => {
      await pool.end();
      await withClient(postgres, (client) => dropDatabaseAndRole(client, name));
    });

    it('becomes equal to a new one, with its cursors', async () => {
      assert.ok(releasedOnes.length > 0);
      await pool.query('UPDATE outbox_shards SET id = 7');
      await migrate([{ url, database: schema, schemaFolder: `${schemas}${schema}` }]);
      const fresh = await createTestDatabase(schema);
      try {
        assert.deepEqual(await shapeOf(pool), await shapeOf(fresh.pool));
      } finally {
        await fresh.drop();
      }
      const { rows } = await pool.query('SELECT DISTINCT id FROM millrace.outbox_shards');
      assert.deepEqual(rows, [{ id: '7' }]);
      // a pod of version 0.1.0 finds its tables by their names
      assert.equal((await pool.query('SELECT FROM outbox_shards')).rowCount, 4);
    });

    it('does not lose rows if the platform was not migrated before', async (t) => {
      const { rowCount } = await pool.query(
        "SELECT FROM pg_views WHERE viewname = 'outbox_shards' AND schemaname = 'public'",
      );
      assert.equal(rowCount, 1);
      const used = ['inbox_offsets', 'outbox'].find((table) =>
        releasedOnes.some((migration) =>
          readFileSync(`${schemas}${schema}/migrations/${migration}/migration.sql`, 'utf8').includes(
            `CREATE TABLE ${table} `,
          ),
        ),
      );
      if (used === undefined) return t.skip('it had none');
      const script = readFileSync(
        `${schemas}${schema}/migrations/${migrations[releasedOnes.length]}/migration.sql`,
        'utf8',
      );
      await pool.query(
        `DROP VIEW public.${used}; CREATE TABLE public.${used} (x int); INSERT INTO public.${used} VALUES (1)`,
      );
      await assert.rejects(pool.query(script), /has rows: let platform\/migrate\/main\.ts move it/);
    });
  });
}
