import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEvent } from '#contracts/index.ts';
import { Health } from '#platform/health';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { OutboxRelay } from '#platform/outbox';
import { recover } from '#platform/recovery/recover.ts';
import { createLogger } from '#platform/telemetry';
import { copyDatabase, createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { createOrdersApp } from '../app.ts';
import { newOrder } from '../domain/order.ts';
import { clientOf, lamp, someUsers } from '../testing.ts';
import { orderEvents } from './events.ts';
import { OrderPlacer } from './place.ts';
import { ordersRecovery } from './recovery.ts';

const log = createLogger('events-test', 'silent');

test('a write database that was put back takes commands again when it has the orders of the topic, and draws no id again', async (t) => {
  const fake = fakeKafka({ 'order-events': 2 });
  const database = await createTestDatabase('orders');
  const closing: (() => Promise<void>)[] = [() => database.drop()];
  t.after(async () => {
    for (const close of closing.toReversed()) await close();
  });
  const relayOf = ({ pool }: TestDatabase) => {
    const health = new Health();
    const relay = new OutboxRelay({
      name: 'orders',
      pool,
      kafka: fake.kafka,
      log,
      health,
      source: 'outbox',
      own: orderEvents,
    });
    closing.push(() => relay.stop());
    relay.start();
    return { relay, health };
  };
  const place = ({ pool }: TestDatabase) => new OrderPlacer(pool).place(newOrder({ userId: 1, items: [lamp] }));
  const sent = (count: number) => {
    const ids = () => new Set(fake.sent.map(({ message }) => message.headers['ce_id']));
    return eventually(() => ids().size === count, `${count} events`);
  };

  const first = relayOf(database);
  await place(database);
  await sent(1);
  await first.relay.stop();
  const earlier = await copyDatabase(database);
  closing.push(() => earlier.drop());
  const second = relayOf(database);
  await place(database);
  await place(database);
  await sent(3);
  await second.relay.stop();

  const { relay, health } = relayOf(earlier);
  const app = createOrdersApp({
    writePool: earlier.pool,
    readPool: earlier.pool,
    users: someUsers,
    health,
    log,
    wakeRelay: () => relay.wake(),
    beforeCommand: () => relay.assertNotBehind(),
  });
  const port = await app.http.listen(0, '127.0.0.1');
  closing.push(() => app.http.close());
  const send = clientOf(`http://127.0.0.1:${port}`);
  const isUp = async () => (await health.report()).status === 'UP';
  await eventually(async () => !(await isUp()), 'it is noticed');
  const order = () => send('POST', '/orders', { userId: 1, items: [lamp] });
  const refused = await order();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '30');

  const { events } = await recover(
    { ...ordersRecovery, decode: decodeEvent },
    { pool: earlier.pool, kafka: fake.kafka, isTrial: false },
  );
  assert.equal(events.length, 2);
  await eventually(isUp, 'it is well again', 60_000);
  const { status, body } = await order();
  assert.equal(status, 201);
  assert.ok(body.id > 1_000_000, String(body.id));
  await eventually(() => fake.sent.some(({ message }) => message.key === String(body.id)), 'it is published', 20_000);
});
