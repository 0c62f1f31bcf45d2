import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Kafka } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { startProxy } from '#test/proxy.ts';
import { createPool } from '#platform/postgres';
import { inboxStand, log, message } from './testing.ts';

describe('an Inbox whose database is away or slow', () => {
  const stand = inboxStand();
  const { send, sendRange, insert, start, reach, assertOnceInOrder, isReady } = stand;

  it('waits for a database that is away, without fetching more, and goes on when it is back', async (t) => {
    const url = new URL(stand.database.url);
    const proxy = await startProxy(url.hostname, Number(url.port));
    url.port = String(proxy.port);
    const pool = createPool({ name: 'inbox-test', url: url.href, max: 4, log });
    pool.on('connect', (client) => client.on('error', () => undefined));
    t.after(async () => {
      await Promise.all(stand.inboxes.map((inbox) => inbox.stop()));
      await pool.end();
      await proxy.stop();
    });
    let handled = 0;
    const { health } = start({
      pool,
      async handle(tx, events) {
        handled += events.length;
        await insert(tx, events);
      },
    });
    await sendRange(0, 50);
    await reach(50);
    proxy.cut();
    await sendRange(50, 100);
    await eventually(async () => !(await isReady(health)), 'it says that it is not ready');
    assert.equal((await health.liveness()).status, 'UP');
    for (let n = 100; n < 1_000; n += 100) await sendRange(n, n + 100);
    assert.ok(handled <= 100, `nothing was fetched beyond the batch in hand: ${handled}`);
    proxy.restore();
    await reach(1_000);
    await assertOnceInOrder(1_000);
    await eventually(() => isReady(health), 'it is ready again');
    const { rows } = await stand.database.pool.query('SELECT FROM millrace.dead_letters');
    assert.equal(rows.length, 0);
  });

  it('says that it waits for a database that is away before anything was read', async (t) => {
    const url = new URL(stand.database.url);
    const proxy = await startProxy(url.hostname, Number(url.port));
    url.port = String(proxy.port);
    const pool = createPool({ name: 'inbox-test', url: url.href, max: 4, log });
    t.after(async () => {
      await Promise.all(stand.inboxes.map((inbox) => inbox.stop()));
      await pool.end();
      await proxy.stop();
    });
    proxy.cut();
    const { health } = start({ pool, stuckMs: 3_600_000 });
    await eventually(
      async () => /the offsets of .* cannot be loaded/.test(JSON.stringify(await health.report())),
      'its health says so',
    );
    proxy.restore();
    await eventually(() => isReady(health), 'it is well again');
  });

  // it waits once a statement timeout counts as the database's own fault
  it('waits for a table that is locked for longer than a statement may take', async (t) => {
    const { pool: other, url } = stand.database;
    const pool = createPool({ name: 'inbox-test', url, max: 4, log, statementMs: 200 });
    t.after(() => pool.end());
    const letters = async () => (await other.query('SELECT FROM millrace.dead_letters')).rowCount ?? 0;
    let attempts = 0;
    await sendRange(0, 3);
    const locking = await other.connect();
    try {
      await locking.query('BEGIN; LOCK TABLE effects IN ACCESS EXCLUSIVE MODE');
      const { health } = start({
        pool,
        async handle(tx, events) {
          attempts += 1;
          await insert(tx, events);
        },
      });
      await eventually(async () => attempts > 6 || (await letters()) > 0, 'more attempts than a message has', 30_000);
      assert.equal(await letters(), 0);
      assert.ok(!(await stand.isReady(health)));
    } finally {
      await locking.query('ROLLBACK');
      locking.release();
    }
    await reach(3);
    await assertOnceInOrder(3);
    assert.equal(await letters(), 0);
  });

  it('holds no more than a fetch while the database is slow', async () => {
    const count = 1_500;
    const text = 'x'.repeat(20_000); // 30 MB in all
    for (let n = 0; n < count; n += 100) {
      await send(
        Array.from({ length: 100 }, (_, i) => ({
          ...message(n + i),
          value: Buffer.from(JSON.stringify({ n: n + i, text })),
        })),
      );
    }
    const held = { bytes: 0, most: 0 };
    const consumer: Kafka['consumer'] = (options) =>
      stand.kafka.consumer({
        ...options,
        async onBatch(batch) {
          const bytes = batch.messages.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
          held.bytes += bytes;
          held.most = Math.max(held.most, held.bytes);
          const done = await options.onBatch(batch);
          held.bytes -= bytes;
          return done;
        },
      });
    let mostEvents = 0;
    start({
      kafka: { ...stand.kafka, consumer },
      maxBatch: 100,
      async handle(tx, events) {
        mostEvents = Math.max(mostEvents, events.length);
        await tx.query('SELECT pg_sleep(0.02)');
        await insert(tx, events);
      },
    });
    await reach(count);
    assert.ok(mostEvents <= 100, `${mostEvents} events in a transaction`);
    assert.ok(held.most <= 2.5 * 1024 * 1024, `${held.most} bytes in hand`);
  });
});
