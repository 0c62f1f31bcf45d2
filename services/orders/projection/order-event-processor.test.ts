import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import * as fc from 'fast-check';
import type { Pool, PoolClient } from 'pg';
import { InvalidEvent, encodeHeaders } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { decodeEvent } from '#contracts/index.ts';
import type { OrderStatus } from '#contracts/orders.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { lamp, userCreated } from '../testing.ts';
import { processOrderEvents } from './order-event-processor.ts';

let database: TestDatabase;
let pool: Pool;

before(async () => {
  database = await createTestDatabase('orders-read');
  pool = database.pool;
});
after(() => database.drop());
beforeEach(() => pool.query('TRUNCATE orders, users, order_statistics'));

const apply = (...events: ReceivedEvent[]) => transaction(pool, (tx) => processOrderEvents(tx, events));

const second = (version: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, version)).toISOString();

function orderEvent(orderId: number, version: number, type: string, data: object): ReceivedEvent {
  return {
    id: `order-${orderId}-${version}`,
    type,
    source: '/orders',
    subject: String(orderId),
    time: Date.parse(second(version)),
    data: { orderId, userId: 3, totalAmount: 19.98, createdAt: second(1), ...data },
    topic: 'order-events',
    partition: orderId % 6,
    offset: BigInt(version),
    key: String(orderId),
    traceparent: undefined,
  };
}

const created = (id: number) =>
  orderEvent(id, 1, 'order.created', { status: 'PENDING', items: [lamp], shippingAddress: 'Here', notes: `n${id}` });
const changed = (id: number, version: number, status: OrderStatus) =>
  orderEvent(id, version, 'order.status-changed', { status, version, changedAt: second(version) });
const deleted = (id: number, version: number, status: OrderStatus) =>
  orderEvent(id, version, 'order.deleted', { status, version, deletedAt: second(version) });

/** The whole read model. */
async function state() {
  const { rows: orders } = await pool.query(
    `SELECT id::int, status, items, shipping_address, notes, is_deleted, version, created_at, updated_at
     FROM orders ORDER BY id`,
  );
  const { rows: counts } = await pool.query<{ status: string; n: number }>(
    `SELECT status, sum(orders)::int AS n FROM order_statistics GROUP BY status HAVING sum(orders) <> 0 ORDER BY status`,
  );
  const { rows: counted } = await pool.query<{ status: string; n: number }>(
    'SELECT status, count(*)::int AS n FROM orders WHERE NOT is_deleted GROUP BY status ORDER BY status',
  );
  assert.deepEqual(counts, counted, 'the counts are those of the orders');
  return orders;
}

const lives = [
  [created(1), changed(1, 2, 'CONFIRMED'), changed(1, 3, 'SHIPPED'), changed(1, 4, 'DELIVERED')],
  [created(2), changed(2, 2, 'CANCELLED'), deleted(2, 3, 'CANCELLED')],
  [created(7), deleted(7, 2, 'PENDING')],
  [created(8)],
];

test('the events of an order are projected in any batches, also repeated', async () => {
  await apply(...lives.flat());
  const expected = await state();
  assert.deepEqual(expected[0], {
    id: 1,
    status: 'DELIVERED',
    items: [lamp],
    shipping_address: 'Here',
    notes: 'n1',
    is_deleted: false,
    version: 4,
    created_at: new Date(second(1)),
    updated_at: new Date(second(4)),
  });
  const batches = fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 8 })), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(batches, fc.boolean(), async (cuts, reversed) => {
      await pool.query('TRUNCATE orders, order_statistics');
      const events = reversed ? lives.flat().toReversed() : lives.flat();
      for (const [from, length] of cuts) {
        await apply(...events.slice(from, from + length));
        await state();
      }
      await apply(...events);
      assert.deepEqual(await state(), expected);
    }),
    { numRuns: 40 },
  );
});

async function names(): Promise<string | null> {
  const { rows } = await pool.query<{ username: string | null }>(
    'SELECT u.username FROM orders o LEFT JOIN users u ON u.id = o.user_id',
  );
  return rows[0]!.username;
}

test('an order may come before its user, and old orders show a new name', async () => {
  await apply(created(1));
  assert.equal(await names(), null);
  await apply(userCreated(3, 'ada'));
  assert.equal(await names(), 'ada');
  await apply(userCreated(3, 'lovelace', 2));
  await apply(userCreated(3, 'ada'));
  assert.equal(await names(), 'lovelace');
  await apply({ ...userCreated(3, ''), type: 'user.deleted', data: { userId: 3, version: 3, deletedAt: second(3) } });
  assert.equal(await names(), 'lovelace');
});

test('order.created that comes last, as a replayed dead letter, adds only the missing fields', async () => {
  await apply(changed(1, 3, 'SHIPPED'));
  const [early] = await state();
  assert.deepEqual([early.status, early.items], ['SHIPPED', null]);
  await apply(created(1));
  const [late] = await state();
  assert.deepEqual([late.status, late.version, late.items, late.notes], ['SHIPPED', 3, [lamp], 'n1']);
  assert.deepEqual(late.updated_at, new Date(second(3)));
});

test('text and amounts arrive unchanged', async () => {
  const notes = `NULL {"a", \\} ' \u0001 😀 \n`;
  const items = [{ ...lamp, productName: notes }];
  const event = orderEvent(1, 1, 'order.created', {
    status: 'PENDING',
    items,
    shippingAddress: '',
    notes,
    totalAmount: 50_000_000_000_000.01,
  });
  await apply(event, created(2));
  const { rows } = await pool.query('SELECT items, shipping_address, notes, total_amount FROM orders WHERE id = 1');
  assert.deepEqual(rows, [{ items, shipping_address: '', notes, total_amount: '50000000000000.01' }]);
});

test('an order that the contract takes can be stored, whatever its producer has added, and however long its time is', async () => {
  const headers = encodeHeaders({ id: '1', type: 'order.created', source: '/shop', subject: '1', time: new Date(0) });
  const message = { topic: 'order-events', partition: 0, offset: 0n, key: '1', headers, timestamp: 0 };
  const decode = (createdAt: string, item: string) => {
    const order = { orderId: 1, userId: 3, status: 'PENDING', totalAmount: 19.98, createdAt };
    const rest = `"items":[${item}],"shippingAddress":null,"notes":null}`;
    return decodeEvent({ ...message, value: Buffer.from(`${JSON.stringify(order).slice(0, -1)},${rest}`) });
  };
  const nested = '['.repeat(100_000) + ']'.repeat(100_000);
  const item = JSON.stringify(lamp);
  const time = (length: number) => `2026-01-01T00:00:00.5${'0'.repeat(length - 27)}+00:00`;
  await apply(decode(time(64), `${item.slice(0, -1)},"x":${nested}}`));
  const [stored] = await state();
  assert.deepEqual([stored.items, stored.created_at], [[lamp], new Date('2026-01-01T00:00:00.500Z')]);
  for (const length of [65, 129]) assert.throws(() => decode(time(length), item), InvalidEvent);
  await assert.rejects(pool.query('SELECT $1::timestamptz', [time(160)]), { code: '22007' });
});

async function begin(client: PoolClient, event: ReceivedEvent): Promise<void> {
  await client.query("BEGIN; SET LOCAL lock_timeout = '2s'");
  await processOrderEvents(client, [event]);
}

test('consumers of different partitions do not wait for each other', async () => {
  const [one, other] = [await pool.connect(), await pool.connect()];
  try {
    await begin(one, created(1));
    await begin(other, created(2));
    await other.query('COMMIT');
    await one.query('COMMIT');
  } finally {
    one.release();
    other.release();
  }
  assert.equal((await state()).length, 2);
});

test('batches that share orders and users in any order do not deadlock', async () => {
  const events = Array.from({ length: 200 }, (_, i) => [created(i + 1), userCreated(i + 1, `user${i}`)]).flat();
  await Promise.all(
    Array.from({ length: 6 }, (_, i) =>
      apply(...(i % 2 === 0 ? events : events.toReversed()), userCreated(1, 'x', i + 2)),
    ),
  );
  assert.equal((await state()).length, 200);
});

test('orders are looked up by key, although the plan was made for an empty table', async () => {
  const client = await pool.connect();
  try {
    for (let i = 0; i < 10; i++) await processOrderEvents(client, [created(i + 1)]);
    await client.query(
      `INSERT INTO orders (id, user_id, status, total_amount, version, created_at, updated_at)
       SELECT n, 1, 'PENDING', 1, 1, now(), now() FROM generate_series(1000, 20000) n`,
    );
    const scans = async () => {
      await client.query('SELECT pg_stat_force_next_flush()');
      const { rows } = await client.query(
        "SELECT seq_scan::int AS n FROM pg_stat_user_tables WHERE relname = 'orders'",
      );
      return rows[0].n as number;
    };
    const earlier = await scans();
    for (let i = 0; i < 10; i++) await processOrderEvents(client, [changed(i + 1, 2, 'CONFIRMED')]);
    assert.equal(await scans(), earlier);
  } finally {
    client.release();
  }
});
