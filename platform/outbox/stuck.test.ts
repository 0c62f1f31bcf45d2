import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { startProxy } from '#test/proxy.ts';
import { Health } from '#platform/health';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { createPool } from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import { createLogger, registry } from '#platform/telemetry';
import { OutboxRelay } from './relay.ts';

const log = createLogger('stuck-test', 'silent');
const withinMs = 20_000;

describe('an outbox that is not published', { concurrency: true }, () => {
  const append = (database: TestDatabase, count: number) =>
    database.pool.query(
      `INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
       SELECT 'orders', n::text, 'e', 't', '/s', '{}' FROM generate_series(1, $1) AS n`,
      [count],
    );
  const reasonOf = async (health: Health) => (await health.report()).checks['outbox test']!.reason;

  it('is said to wait for an open transaction, with its age, and goes on after that', async () => {
    const database = await createTestDatabase();
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const health = new Health();
    const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health });
    const idle = new pg.Client({ connectionString: database.url, application_name: 'somebody' });
    await idle.connect();
    try {
      await idle.query('SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()');
      const { rows } = await idle.query<{ pid: number; database: string }>(
        'SELECT pg_backend_pid() AS pid, current_database() AS database',
      );
      const total = 8_000;
      await append(database, total);
      relay.start();
      const reason = await eventually(
        () => reasonOf(health),
        'the health says so, 15 s after the last progress',
        40_000,
      );
      assert.ok(sent.length < total);
      assert.match(
        reason,
        new RegExp(
          `^nothing of the outbox was published for 1\\d s: the transaction of process ${rows[0]!.pid} of PostgreSQL \\(somebody\\) is open for \\d+ s`,
        ),
      );
      assert.equal((await health.readiness()).status, 'UP');
      const oldest = new RegExp(`millrace_outbox_oldest_seconds\\{database="${rows[0]!.database}".*\\} (\\S+)`);
      assert.ok(Number(oldest.exec(await registry.metrics())![1]) > 10);
      await idle.query('COMMIT');
      await eventually(() => sent.length >= total, 'all');
      await eventually(async () => (await health.report()).status === 'UP', 'it is well again');
    } finally {
      await idle.end();
      await relay.stop();
      await database.drop();
    }
  });

  it('in a shard with many events, because of an open transaction, is published in the others', async () => {
    const database = await createTestDatabase();
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health: new Health() });
    const idle = new pg.Client({ connectionString: database.url });
    await idle.connect();
    const write = (keys: string) =>
      database.pool.query(
        `INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
         SELECT 'orders', key, 'e', 't', '/s', '{}' FROM unnest($1::text[]) AS key`,
        [keys.split(' ')],
      );
    try {
      await idle.query('SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()');
      const ofOneKey = 6_000;
      await write('1 '.repeat(ofOneKey).trim());
      relay.start();
      await eventually(() => sent.length >= 5_000, 'as many as may be published ahead');
      const keys = Array.from({ length: 20 }, (_, n) => String(n + 2));
      const { rows } = await database.pool.query<{ key: string }>(
        'SELECT key FROM unnest($1::text[]) AS key WHERE hashtext(key) & 3 <> (hashtext($2) & 3)',
        [keys, '1'],
      );
      await write(keys.join(' '));
      relay.wake();
      const isSent = (key: string) => sent.some(({ message }) => message.key === key);
      await eventually(() => rows.every(({ key }) => isSent(key)), 'those of the other shards', withinMs);
      assert.ok(sent.length < ofOneKey);
      await idle.query('COMMIT');
      await eventually(() => sent.length === ofOneKey + keys.length, 'all');
    } finally {
      await idle.end();
      await relay.stop();
      await database.drop();
    }
  });

  it('by a relay whose session hangs in the server with its locks is published within 20 s by another session, and by other relays', async () => {
    const database = await createTestDatabase();
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const healths = [new Health(), new Health()];
    const relays = healths.map((health) => new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health }));
    const hung = new pg.Client({ connectionString: database.url });
    await hung.connect();
    const locked = 3;
    /** Writes an event of each of 20 keys. @returns the ids of those whose shards are not locked */
    const write = async (round: number) => {
      const { rows } = await database.pool.query<{ id: string; shard: number }>(
        `INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
         SELECT 'orders', n::text, $1 || '-' || n, 't', '/s', '{}' FROM generate_series(1, 20) AS n
         RETURNING event_id AS id, shard`,
        [String(round)],
      );
      return rows.flatMap(({ id, shard }) => (shard === locked ? [] : [id]));
    };
    const isSent = (ids: readonly string[]) => {
      const all = new Set(sent.map(({ message }) => message.headers['ce_id']));
      return ids.every((id) => all.has(id));
    };
    try {
      for (const relay of relays) relay.start();
      await eventually(async () => {
        const { rows } = await database.pool.query(
          'SELECT DISTINCT owner FROM millrace.outbox_shards WHERE owner IS NOT NULL',
        );
        return rows.length === relays.length;
      }, 'they share the shards');
      await hung.query('SET idle_in_transaction_session_timeout = 0; BEGIN');
      await hung.query(
        `SELECT FROM millrace.outbox_shards s JOIN millrace.outbox_relays r USING (owner) WHERE s.shard = ${locked} FOR UPDATE`,
      );
      await write(1);
      await eventually(async () => {
        const { rowCount } = await database.pool.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rowCount! > 0;
      }, 'a relay waits for the session that hangs');
      const later = await write(2);
      await eventually(() => isSent(later), 'the events after', withinMs);
      await hung.query('ROLLBACK');
      const { rows } = await hung.query<{ id: string }>('SELECT event_id AS id FROM millrace.outbox');
      await eventually(() => isSent(rows.map(({ id }) => id)), 'those of the shard that was locked');
      for (const health of healths)
        await eventually(async () => (await health.report()).status === 'UP', 'it is well again');
    } finally {
      await hung.end();
      await Promise.all(relays.map((relay) => relay.stop()));
      await database.drop();
    }
  });

  it('by a relay whose session does not answer is published within 20 s by another session', async () => {
    const database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    const proxy = await startProxy(hostname, Number(port));
    const url = new URL(database.url);
    url.port = String(proxy.port);
    const pool = new pg.Pool({ connectionString: url.href, max: 4 });
    pool.on('error', () => undefined);
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const health = new Health();
    const relay = new OutboxRelay({ name: 'test', pool, kafka, log, health });
    try {
      relay.start();
      await append(database, 10);
      await eventually(() => sent.length === 10, 'the events before');
      proxy.freeze();
      await append(database, 10);
      await eventually(() => sent.length >= 20, 'the events after', withinMs);
      await eventually(async () => {
        const { rows } = await database.pool.query('SELECT FROM millrace.outbox_shards WHERE owner IS NULL');
        return rows.length === 0;
      }, 'every shard has an owner');
      await eventually(async () => (await health.report()).status === 'UP', 'it is well again');
    } finally {
      await relay.stop();
      await proxy.stop();
      await pool.end();
      await database.drop();
    }
  });

  it('by a relay that lost the answer to its taking over is published at once by its next session', async () => {
    const database = await createTestDatabase();
    const proxy = await startCuttingProxy(database.url);
    const pool = createPool({ name: 'outbox-cut', url: proxy.url, max: 4, log });
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const relay = new OutboxRelay({ name: 'test', pool, kafka, log, health: new Health() });
    try {
      relay.start();
      await append(database, 10);
      await eventually(() => sent.length === 10, 'the events before');
      proxy.cutAt('SET owner = $2', 'answer-lost');
      proxy.cutAt('outbox-advance-and-read', 'statement-lost');
      await append(database, 10);
      await eventually(() => proxy.cuts === 2, 'both are cut');
      await eventually(() => sent.length >= 20, 'the events after, before the leases end', 5_000);
    } finally {
      await relay.stop();
      await pool.end();
      await proxy.close();
      await database.drop();
    }
  });
});
