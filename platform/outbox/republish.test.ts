import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { Health } from '#platform/health';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { createLogger } from '#platform/telemetry';
import { OutboxRelay } from './relay.ts';
import { republish } from './republish.ts';

describe('an event store that is published again', () => {
  const log = createLogger('republish-test', 'silent');
  let database: TestDatabase;
  let relay: OutboxRelay;
  let sent: ReturnType<typeof fakeKafka>['sent'];
  beforeEach(async () => {
    database = await createTestDatabase('orders');
    const fake = fakeKafka({ 'order-events': 6 });
    ({ sent } = fake);
    const options = { name: 'test', pool: database.pool, kafka: fake.kafka, log, health: new Health() };
    relay = new OutboxRelay({ ...options, source: 'outbox' });
    relay.start();
  });
  afterEach(async () => {
    await relay.stop();
    await database.drop();
  });

  const place = async (orderId: number, version: number): Promise<number> => {
    const { rows } = await database.pool.query<{ id: string }>(
      `INSERT INTO order_events (order_id, version, type, data) VALUES ($1, $2, 'order.created', '{}') RETURNING id`,
      [orderId, version],
    );
    return Number(rows[0]!.id);
  };
  const idsSince = (count: number) => sent.slice(count).map(({ message }) => message.headers['ce_id']!);

  it('has the ids and the order of before, from the first one or from another one on', async () => {
    const ids: number[] = [];
    const written: string[] = [];
    for (let version = 1; version <= 4; version++)
      for (let order = 1; order <= 5; order++) {
        ids.push(await place(order, version));
        written.push(`order-${order}-${version}`);
      }
    await eventually(() => sent.length === 20, 'all are published');
    for (const [from, count, later] of [
      [1, 20, 0],
      [ids[15]!, 5, 1], // and the later one of the first round
    ] as const) {
      const published = sent.length;
      assert.deepEqual(await republish(database.pool, from), { source: 'outbox', events: count + later });
      await eventually(() => sent.length >= published + count + later, 'they are published again');
      await place(9, from);
      await eventually(() => idsSince(published).includes(`order-9-${from}`), 'a later one');
      const again = idsSince(published).filter((id) => !id.startsWith('order-9-'));
      assert.equal(again.length, count);
      assert.deepEqual(new Set(again), new Set(written.slice(-count)));
      for (let order = 1; order <= 5; order++) {
        const ofOrder = (all: string[]) => all.filter((id) => id.startsWith(`order-${order}-`));
        assert.deepEqual(ofOrder(again), ofOrder(written.slice(-count)), 'in the order of the key');
      }
    }
  });

  it('is nothing where there is nothing from that id on', async () => {
    await place(1, 1);
    assert.deepEqual(await republish(database.pool, 1_000_000), { source: 'outbox', events: 0 });
  });
});
