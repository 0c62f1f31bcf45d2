import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Health } from '#platform/health';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { transaction } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { OutboxRelay } from './relay.ts';
import { appendToOutbox } from './write.ts';

test('the rows that another session has locked are published in their place', async (t) => {
  const { pool, drop } = await createTestDatabase();
  const { kafka, sent } = fakeKafka({ orders: 6 });
  const log = createLogger('locked-rows-test', 'silent');
  const relay = new OutboxRelay({ name: 'locked', pool, kafka, log, health: new Health() });
  const other = await pool.connect();
  t.after(async () => {
    await relay.stop();
    other.release(true); // its session ends, and with it the transaction
    await drop();
  });
  const ids = ['order-1-1', 'order-1-2', 'order-1-3'];
  const common = { topic: 'orders', key: '1', type: 'order.created', source: '/orders', data: '{}' };
  await transaction(pool, (tx) =>
    appendToOutbox(
      tx,
      ids.map((eventId) => ({ ...common, eventId })),
    ),
  );
  await other.query('BEGIN');
  const { rowCount } = await other.query('SELECT FROM millrace.outbox WHERE event_id = $1 FOR UPDATE', [ids[1]]);
  assert.equal(rowCount, 1);
  relay.start();
  const published = () => sent.map(({ message }) => message.headers['ce_id']);
  await eventually(() => published().includes(ids[2]), 'the last event', 10_000);
  assert.deepEqual(published(), ids);
});
