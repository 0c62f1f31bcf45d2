import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatcherFull } from '#platform/postgres';
import { newOrder } from '../domain/order.ts';
import type { NewOrder } from '../domain/order.ts';
import { lamp, startOrders } from '../testing.ts';
import { OrderPlacer } from './place.ts';

const orderOf = (changes: Partial<NewOrder> = {}): NewOrder => ({
  ...newOrder({ userId: 1, items: [lamp] }),
  ...changes,
});

test('orders of one batch do not mix, although they differ in every field', async (t) => {
  const { writePool, events } = await startOrders(t);
  const { mock: statements } = t.mock.method(writePool, 'query');
  const placer = new OrderPlacer(writePool);
  const notes = [
    'plain',
    'comma, {brace} "quote" \\ back',
    'NULL',
    '',
    null,
    '\u001e\t\n',
    '😀',
    "'; DROP TABLE orders; --",
  ];
  const placed = await Promise.all(
    Array.from({ length: 120 }, (_, i) =>
      placer.place(
        orderOf({ userId: i + 1, totalCents: i * 101, notes: notes[i % notes.length]! }),
        i % 4 === 0 ? { key: `key-${i}`, fingerprint: 'f' } : undefined,
        i % 3 === 0 ? `00-${String(i).padStart(32, '0')}-0000000000000001-01` : undefined,
      ),
    ),
  );
  const commits = statements.callCount();
  assert.ok(commits < 10, `${commits} commits for 120 orders`);
  const byKey = new Map((await events()).map((event) => [event.key, event]));
  for (const [i, order] of placed.entries()) {
    const event = byKey.get(String(order!.id))!;
    const { userId, totalAmount, notes: stored } = event.data as Record<string, unknown>;
    assert.deepEqual([userId, totalAmount, stored], [i + 1, (i * 101) / 100, notes[i % notes.length]]);
    assert.equal(event.traceparent === undefined, i % 3 !== 0);
  }
  const { rows } = await writePool.query('SELECT user_id::int, total_amount::text FROM orders ORDER BY user_id');
  assert.deepEqual(
    rows,
    placed.map((_, i) => ({ user_id: i + 1, total_amount: ((i * 101) / 100).toFixed(2) })),
  );
});

test('the events of the store are of the shards that the relays share', async (t) => {
  const { writePool } = await startOrders(t);
  const placer = new OrderPlacer(writePool);
  await Promise.all(Array.from({ length: 32 }, () => placer.place(orderOf())));
  const ofEvents = await writePool.query('SELECT DISTINCT shard FROM order_events ORDER BY shard');
  const shared = await writePool.query('SELECT shard FROM millrace.outbox_shards ORDER BY shard');
  assert.deepEqual(ofEvents.rows, shared.rows);
});

test('an order that cannot be stored does not affect the others of its batch', async (t) => {
  const { writePool } = await startOrders(t);
  const placer = new OrderPlacer(writePool);
  const results = await Promise.allSettled(
    [1, 2 ** 70, 3, 4].map((userId) => placer.place(orderOf({ userId }), { key: `key-${userId}`, fingerprint: 'f' })),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
  const { rows } = await writePool.query('SELECT count(*)::int AS orders FROM orders');
  assert.deepEqual(rows, [{ orders: 3 }]);
});

test('a connection that dies between order and commit leaves neither order, event nor key', async (t) => {
  const { writePool, send, events } = await startOrders(t);
  await writePool.query(`
    CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF new.data->>'notes' = 'die' THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
      RETURN new;
    END $$;
    CREATE TRIGGER die AFTER INSERT ON order_events FOR EACH ROW EXECUTE FUNCTION die()`);
  const body = { userId: 1, items: [lamp], notes: 'die' };
  const answer = await send('POST', '/orders', body, { 'idempotency-key': 'k' });
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get('retry-after'));
  assert.deepEqual(await events(), []);
  for (const table of ['orders', 'idempotency_keys']) {
    assert.equal((await writePool.query(`SELECT * FROM ${table}`)).rowCount, 0, table);
  }
  // the client repeats the request with the same key
  await writePool.query('DROP TRIGGER die ON order_events');
  assert.equal((await send('POST', '/orders', body, { 'idempotency-key': 'k' })).status, 201);
  assert.equal((await events()).length, 1);
});

test('the bytes of the queue are bounded, too', async (t) => {
  const { writePool } = await startOrders(t);
  const placer = new OrderPlacer(writePool);
  const big = orderOf({ notes: 'x'.repeat(4_000_000) });
  const results = await Promise.allSettled(Array.from({ length: 12 }, () => placer.place(big)));
  const refused = results.filter(({ status }) => status === 'rejected');
  assert.ok(refused.length > 0 && refused.length < 12);
  for (const { reason } of refused as PromiseRejectedResult[]) assert.ok(reason instanceof BatcherFull);
  assert.ok(await placer.place(big));
});
