import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testServers } from '#test/servers.ts';
import { withClient } from './client.ts';
import { isOutcomeUnknown, isUnavailable } from './errors.ts';
import { createPool, transaction } from './pool.ts';
import { startCuttingProxy } from './testing.ts';

const log = createLogger('outage-test', 'silent');
const statementMs = 500;
/** a silent connection is ended two seconds later */
const boundMs = statementMs + 2_000;
let database: TestDatabase;

before(async () => {
  database = await createTestDatabase();
  await database.pool.query('CREATE TABLE things (id int PRIMARY KEY)');
});
after(() => database.drop());

function poolOf(t: TestContext, url = database.url, max = 2) {
  const pool = createPool({ name: `outage-${randomBytes(3).toString('hex')}`, url, max, log, statementMs });
  t.after(() => pool.end());
  return pool;
}

/** The error of work, and how long it took. */
async function failureOf(work: Promise<unknown>): Promise<{ error: Error; ms: number }> {
  const begin = performance.now();
  try {
    await work;
  } catch (error) {
    return { error: error as Error, ms: performance.now() - begin };
  }
  throw new assert.AssertionError({ message: 'the work did not fail' });
}

async function processOf(client: { query: pg.ClientBase['query'] }): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]!.pid;
}

test('a server process that hangs fails its statement in time, and the pool goes on with another connection', async (t) => {
  const pool = poolOf(t, database.url, 1);
  const pid = await processOf(pool);
  process.kill(pid, 'SIGSTOP');
  try {
    const [first, second] = await Promise.all([failureOf(pool.query('SELECT 1')), pool.query('SELECT 2 AS two')]);
    assert.ok(first.ms < boundMs + 1_000, `${first.ms} ms`);
    assert.equal((first.error as { code?: string }).code, 'ERR_DATABASE_SILENT');
    assert.ok(isUnavailable(first.error));
    assert.ok(isOutcomeUnknown(first.error));
    assert.deepEqual(second.rows, [{ two: 2 }], 'what waited for the connection gets the next one');
    assert.notEqual(await processOf(pool), pid);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a transaction on a process that hangs ends in time, without a ROLLBACK that waits as well', async (t) => {
  const pool = poolOf(t, database.url, 1);
  let pid = 0;
  try {
    const { error, ms } = await failureOf(
      transaction(pool, async (tx) => {
        pid = await processOf(tx);
        process.kill(pid, 'SIGSTOP');
        await tx.query('INSERT INTO things VALUES (1)');
      }),
    );
    assert.ok(ms < boundMs + 1_000, `${ms} ms`);
    assert.ok(isUnavailable(error));
    assert.ok(!isOutcomeUnknown(error), 'no COMMIT was sent');
    assert.notEqual(await processOf(pool), pid);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
});

test('a connection that only waits for work is not taken for a silent one', async (t) => {
  const pool = poolOf(t, database.url, 1);
  const client = await pool.connect();
  const pid = await processOf(client);
  (client as unknown as { connection: { stream: Socket } }).connection.stream.emit('timeout');
  assert.equal(await processOf(client), pid);
  client.release();
});

test('a wrong password, a role without login and a missing database are unavailable', async (t) => {
  const { postgres } = testServers();
  const role = `outage_${randomBytes(4).toString('hex')}`;
  const url = Object.assign(new URL(postgres), { username: role, password: 'right' });
  const asAdmin = (sql: string) => withClient(postgres, (client) => client.query(sql));
  await asAdmin(`CREATE ROLE ${role} LOGIN PASSWORD 'right'; GRANT CONNECT ON DATABASE postgres TO ${role}`);
  const pool = poolOf(t, url.href);
  try {
    await pool.query('SELECT 1');
    const outages: [sql: string, code: string][] = [
      [`ALTER ROLE ${role} PASSWORD 'other'`, '28P01'],
      [`ALTER ROLE ${role} PASSWORD 'right' NOLOGIN`, '28000'],
      [`ALTER ROLE ${role} LOGIN; REVOKE CONNECT ON DATABASE postgres FROM ${role}`, '42501'],
    ];
    for (const [sql, code] of outages) {
      await asAdmin(sql);
      await asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
      await eventually(() => pool.totalCount === 0);
      const { error } = await failureOf(pool.query('SELECT 1'));
      assert.equal((error as { code?: string }).code, code);
      assert.ok(isUnavailable(error), code);
      assert.ok(!isOutcomeUnknown(error), code);
    }
    await asAdmin(`GRANT CONNECT ON DATABASE postgres TO ${role}`);
    await pool.query('SELECT 1');
  } finally {
    await asAdmin(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
  const missing = Object.assign(new URL(database.url), { pathname: '/missing' });
  const { error } = await failureOf(poolOf(t, missing.href).query('SELECT 1'));
  assert.equal((error as { code?: string }).code, '3D000');
  assert.ok(isUnavailable(error));
});

test('a locked table is unavailable, and the statement is undone', async (t) => {
  const pool = poolOf(t);
  await withClient(database.url, async (other) => {
    await other.query('BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE');
    const { error } = await failureOf(pool.query('INSERT INTO things VALUES (2)'));
    assert.equal((error as { code?: string }).code, '57014');
    assert.ok(isUnavailable(error));
    assert.ok(!isOutcomeUnknown(error));
    await other.query('ROLLBACK');
  });
});

test('a transaction whose work catches the error of a statement does not pass for committed', async (t) => {
  const pool = poolOf(t);
  const { error } = await failureOf(
    transaction(pool, async (tx) => {
      await tx.query('INSERT INTO things VALUES (3)');
      await tx.query("SELECT 'x'::int").catch(() => undefined);
    }),
  );
  assert.equal((error as { code?: string }).code, 'ERR_DATABASE_ROLLED_BACK');
  assert.ok(!isUnavailable(error));
});

test('after a lost COMMIT the outcome is unknown; after a statement before it, the work is undone', async (t) => {
  const proxy = await startCuttingProxy(database.url);
  t.after(() => proxy.close());
  const pool = poolOf(t, proxy.url);
  const insert = (id: number) => transaction(pool, (tx) => tx.query('INSERT INTO things VALUES ($1)', [id]));
  const isThere = async (id: number) => (await pool.query('SELECT FROM things WHERE id = $1', [id])).rowCount === 1;
  for (const [id, text, how, isUnknown, isCommitted] of [
    [10, 'COMMIT', 'answer-lost', true, true],
    [11, 'COMMIT', 'statement-lost', true, false],
    [12, 'INSERT', 'answer-lost', false, false],
  ] as const) {
    proxy.cutAt(text, how);
    const { error } = await failureOf(insert(id));
    assert.ok(isUnavailable(error));
    assert.equal(isOutcomeUnknown(error), isUnknown, `${text} ${how}`);
    assert.equal(await isThere(id), isCommitted, `${text} ${how}`);
  }
});

test('the server ends the sessions of clients that are gone', async (t) => {
  const { rows } = await poolOf(t).query('SHOW tcp_keepalives_idle');
  assert.deepEqual(rows, [{ tcp_keepalives_idle: '10' }]);
});
