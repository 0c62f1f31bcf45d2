import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import pg from 'pg';

import { createTestDatabase, type TestDatabase } from '#test/database.ts';
import { testServers } from '#test/servers.ts';
import { withClient } from '#platform/postgres';
import { databaseUrl, ensureDatabases } from './databases.ts';

const { postgres } = testServers();
let own: TestDatabase;

before(async () => {
  own = await createTestDatabase();
  await ensureDatabases(postgres, ['users', 'orders-read']);
});
after(() => own.drop());

test('a role reaches its own database and no other', async () => {
  await withClient(databaseUrl(postgres, 'users'), (client) => client.query('CREATE TABLE probe (); DROP TABLE probe'));
  for (const other of ['orders-read', 'postgres', 'template1']) {
    const client = new pg.Client({ connectionString: databaseUrl(postgres, other, 'users') });
    await assert.rejects(client.connect(), { code: '42501' }, other);
  }
});

test('a role has no rights beyond its database, and a limit on idle transactions', async () => {
  const { rows } = await own.pool.query(
    `SELECT rolsuper, rolcreatedb, rolcreaterole, current_setting('idle_in_transaction_session_timeout') AS idle
       FROM pg_roles WHERE rolname = current_user`,
  );
  assert.deepEqual(rows, [{ rolsuper: false, rolcreatedb: false, rolcreaterole: false, idle: '10s' }]);
});

test('creating existing databases again changes nothing', async () => {
  await ensureDatabases(postgres, ['users', 'orders-read']);
  await withClient(databaseUrl(postgres, 'users'), (client) => client.query('SELECT 1'));
});
