import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { it } from 'node:test';

import { createTestDatabase } from './database.ts';
import { testServers } from './servers.ts';

/** Below PostgreSQL's own limit of a login, which is a minute. */
const withinMs = 30_000;

it('a login that stands still, as behind a proxy that is frozen, does not hold up for long the tests that drop a database', async (t) => {
  const { hostname, port, username } = new URL(testServers().postgres);
  const database = await createTestDatabase();
  const login = connect(Number(port), hostname).on('error', () => undefined);
  t.after(() => login.destroy());
  await once(login, 'connect');
  const body = Buffer.from(`user\0${username}\0database\0postgres\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(head.length + body.length, 0);
  head.writeInt32BE(3 << 16, 4); // the version of the protocol
  login.write(Buffer.concat([head, body]));
  await once(login, 'data'); // PostgreSQL asks for the password
  const begin = performance.now();
  await database.drop();
  const ms = performance.now() - begin;
  assert.ok(ms < withinMs, `${ms} ms`);
});
