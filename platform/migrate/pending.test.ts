import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';

import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { isUnreachable, withClient } from '#platform/postgres';
import { testServers } from '#test/servers.ts';
import { pendingMigrations } from './pending.ts';

test('a look at a database ends that does not answer', { timeout: 60_000 }, async (t) => {
  const { postgres } = testServers();
  const database = `t_pending_${randomBytes(4).toString('hex')}`;
  const url = databaseUrl(postgres, database);
  await ensureDatabases(postgres, [database]);
  t.after(() =>
    withClient(postgres, async (client) => {
      await client.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await client.query(`DROP ROLE ${database}`);
    }),
  );
  await withClient(url, async (client) => {
    await client.query('CREATE TABLE _prisma_migrations (migration_name text)');
    await client.query('BEGIN; LOCK TABLE _prisma_migrations');
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const isSilent = (error: Error) => error.message === 'Query read timeout' && isUnreachable(error);
    const look = assert.rejects(pendingMigrations(url, 'no-such-folder'), isSilent);
    const isWaiting = async () => {
      const { rowCount } = await client.query(
        `SELECT FROM pg_locks WHERE relation = '_prisma_migrations'::regclass AND NOT granted`,
      );
      return rowCount !== 0;
    };
    while (!(await isWaiting())) await turn();
    t.mock.timers.tick(12_000);
    await look;
    await client.query('ROLLBACK');
  });
});
