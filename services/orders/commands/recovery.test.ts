import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transaction } from '#platform/postgres';
import type { TopicEvent } from '#platform/recovery';
import { createTestDatabase } from '#test/database.ts';
import { ordersRecovery } from './recovery.ts';

const createdAt = '2026-11-29T02:00:00.000Z';
const order = { orderId: 5, userId: 2, totalAmount: 19.9, createdAt };
const events = {
  created: { ...order, status: 'PENDING', items: [], shippingAddress: null, notes: null },
  confirmed: { ...order, previousStatus: 'PENDING', status: 'CONFIRMED', version: 2, changedAt: createdAt },
  deleted: { ...order, status: 'CONFIRMED', version: 3, deletedAt: createdAt },
};
const event = (version: number, type: string, data: object): TopicEvent => ({
  id: `order-5-${version}`,
  type,
  source: '/orders',
  subject: '5',
  time: Date.parse(createdAt),
  data,
  topic: 'order-events',
  partition: 0,
  offset: BigInt(version),
  key: '5',
  traceparent: undefined,
  value: Buffer.from(JSON.stringify(data).replace('19.9', '19.90')),
});
const all = [
  event(1, 'order.created', events.created),
  event(2, 'order.status-changed', events.confirmed),
  event(3, 'order.deleted', events.deleted),
];

test('the events of orders lead to the event store and the write model of before', async (t) => {
  const { pool, drop } = await createTestDatabase('orders');
  t.after(drop);
  const take = (some: TopicEvent[]) => transaction(pool, (tx) => ordersRecovery.begin(tx).take(some));
  assert.deepEqual(await take([...all, all[0]!]), { events: all.map(({ id }) => id), conflicts: [] });
  assert.deepEqual(await take(all), { events: [], conflicts: [] }, 'a second time there is nothing to do');
  const { rows: stored } = await pool.query('SELECT version, type, data::text AS data FROM order_events ORDER BY id');
  assert.deepEqual(
    stored,
    all.map(({ type, value }, i) => ({ version: i + 1, type, data: value.toString() })),
    'byte for byte, in their order',
  );
  const { rows } = await pool.query('SELECT *, id::int AS id, user_id::int AS user_id FROM orders');
  assert.deepEqual(rows, [
    {
      id: 5,
      user_id: 2,
      status: 'CONFIRMED',
      total_amount: '19.90',
      version: 3,
      is_deleted: true,
      created_at: new Date(createdAt),
      updated_at: new Date(createdAt),
    },
  ]);
});

test('another event of the same order and version is a conflict, and stays', async (t) => {
  const { pool, drop } = await createTestDatabase('orders');
  t.after(drop);
  await transaction(pool, (tx) => ordersRecovery.begin(tx).take([all[0]!]));
  const other = event(1, 'order.created', { ...events.created, userId: 3 });
  const taken = await transaction(pool, (tx) => ordersRecovery.begin(tx).take([other, all[1]!]));
  assert.deepEqual(taken, { events: ['order-5-2'], conflicts: ['order-5-1'] });
  const { rows } = await pool.query(`SELECT data->>'userId' AS user FROM order_events WHERE version = 1`);
  assert.deepEqual(rows, [{ user: '2' }]);
});
