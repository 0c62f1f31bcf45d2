import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { users } from '#contracts/users.ts';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import { createPool, withClient } from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { createHandlers } from './handlers.ts';
import { UserStore } from './store.ts';

const log = createLogger('users', 'silent');

/** Users whose connections to the database break as the test says. */
async function start(t: TestContext) {
  const database = await createTestDatabase('users');
  const proxy = await startCuttingProxy(database.url);
  const pool = createPool({ name: 'users-cut', url: proxy.url, max: 2, log, statementMs: 500 });
  const store = new UserStore(pool);
  const http = createHttp({
    contract: users,
    handlers: createHandlers(store, () => undefined),
    health: new Health(),
    log,
  });
  const origin = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
  t.after(async () => {
    await http.close();
    await store.close();
    await pool.end();
    await proxy.close();
    await database.drop();
  });
  async function call(method: string, path: string, username?: string) {
    const body =
      username && JSON.stringify({ username, email: `${username}@example.com`, firstName: 'A', lastName: 'B' });
    const response = await fetch(origin + path, {
      method,
      ...(body && { body, headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    const { type, id } = (text ? JSON.parse(text) : {}) as { type?: string; id?: number };
    return { status: response.status, type, id, retryAfter: response.headers.get('retry-after') };
  }
  const names = async () => {
    const { rows } = await database.pool.query<{ username: string }>('SELECT username FROM users ORDER BY id');
    return rows.map(({ username }) => username);
  };
  return { database, proxy, call, names };
}

test('a lost COMMIT is 504 outcome-unknown; what was lost before it is 503, and undone', async (t) => {
  const { proxy, call, names } = await start(t);
  const unknown = { status: 504, type: 'urn:millrace:problem:outcome-unknown', id: undefined, retryAfter: null };
  const undone = { status: 503, type: 'urn:millrace:problem:service-unavailable', id: undefined, retryAfter: '2' };
  const { id } = await call('POST', '/users', 'first');

  proxy.cutAt('COMMIT', 'answer-lost');
  assert.deepEqual(await call('POST', '/users', 'committed'), unknown);
  proxy.cutAt('COMMIT', 'statement-lost');
  assert.deepEqual(await call('POST', '/users', 'lost'), unknown);
  for (const text of ['BEGIN', '"public"."users"', 'millrace.outbox']) {
    proxy.cutAt(text, 'answer-lost');
    assert.deepEqual(await call('POST', '/users', 'early'), undone, text);
  }
  proxy.cutAt('COMMIT', 'answer-lost');
  assert.deepEqual(await call('PUT', `/users/${id}`, 'renamed'), unknown);
  assert.deepEqual(await names(), ['renamed', 'committed']);
  proxy.cutAt('COMMIT', 'answer-lost');
  assert.deepEqual(await call('DELETE', `/users/${id}`), unknown);
  assert.deepEqual(await names(), ['committed']);
  assert.equal(proxy.cuts, 7);

  proxy.cutAt('user-by-id', 'answer-lost');
  assert.deepEqual(await call('GET', `/users/${id}`), undone);
  assert.equal((await call('POST', '/users', 'committed')).status, 409, 'a fault of the data is none of the database');
});

test('a locked table is 503, and so is a missing one', async (t) => {
  const { database, call, names } = await start(t);
  const { id } = await call('POST', '/users', 'first');
  await withClient(database.url, async (other) => {
    await other.query('BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    const answers = [call('POST', '/users', 'second'), call('GET', `/users/${id}`), call('DELETE', `/users/${id}`)];
    for (const answer of answers) assert.equal((await answer).status, 503);
  });
  await database.pool.query('ALTER TABLE users RENAME TO away');
  assert.equal((await call('POST', '/users', 'second')).status, 503);
  assert.equal((await call('GET', `/users/${id}`)).status, 503);
  await database.pool.query('ALTER TABLE away RENAME TO users');
  assert.deepEqual(await names(), ['first']);
  assert.equal((await call('GET', `/users/${id}`)).status, 200);
});

test('a COMMIT that hangs is 504 in time, and the next connection serves', async (t) => {
  const { database, call, names } = await start(t);
  await database.pool.query(`
    CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER hang AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      WHEN (new.username = 'hanging') EXECUTE FUNCTION hang()`);
  await withClient(database.url, async (other) => {
    await other.query('SELECT pg_advisory_lock(7)'); // statement_timeout does not bound a COMMIT
    const begin = performance.now();
    assert.equal((await call('POST', '/users', 'hanging')).status, 504);
    assert.ok(performance.now() - begin < 5_000);
    assert.equal((await call('POST', '/users', 'next')).status, 201);
    assert.deepEqual(await names(), ['next']);
  });
  await eventually(async () => (await names()).includes('hanging'), 'the user exists after all');
});
