import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { testServers } from '#test/servers.ts';
import { withClient } from './client.ts';
import { databaseNameOf, dropDatabaseAndRole, ensureDatabaseRoles } from './database-roles.ts';

test('several may create databases and their roles at the same time', async () => {
  const { postgres: url } = testServers();
  const database = `roles-${randomBytes(5).toString('hex')}`;
  const ensure = () => withClient(url, (client) => ensureDatabaseRoles(client, [{ database, password: 'secret' }]));
  try {
    await Promise.all(Array.from({ length: 5 }, ensure));
    const own = new URL(url);
    Object.assign(own, { username: databaseNameOf(database), password: 'secret', pathname: databaseNameOf(database) });
    const { rows } = await withClient(own.href, (client) => client.query('SELECT current_user::text AS name'));
    assert.deepEqual(rows, [{ name: databaseNameOf(database) }]);
  } finally {
    await withClient(url, (client) => dropDatabaseAndRole(client, database));
  }
});
