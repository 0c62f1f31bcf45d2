import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { encodeHeaders } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { OutboxRelay } from '#platform/outbox';
import { readOutbox } from '#platform/outbox/testing.ts';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { untilPasses } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { emitDue, listWindows } from '#streams/store';
import { declare } from '#streams/testing/declare.ts';
import { queryOf, start } from '#streams/testing/support.ts';
import { lazyDecoder } from './accumulation.ts';
import { Engine } from './engine.ts';

const log = createLogger('test', 'silent');
const orders = 600;
const users = 7;

describe('stream queries from topic to topic', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let producer: Producer;
  let source: string;
  let target: string;
  const running: { stop(): Promise<void> }[] = [];

  before(async () => {
    database = await createTestDatabase('analytics');
    source = await uniqueTopic('stream-source', 6);
    target = await uniqueTopic('stream-target', 3);
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'stream-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    await Promise.all(running.map((part) => part.stop()));
    await producer.close();
    await kafka.close();
    await database.drop();
  });

  const queries = () => [
    queryOf(
      'by-user',
      `from: [{ topic: ${source} }]
keyBy: string(data.userId)
window: { tumbling: 1d, grace: 1d }
select: [{ name: revenue, sum: data.totalAmount }, { name: orders, count: true }]
emit: { to: ${target}, every: 0s }`,
    ),
    queryOf(
      'many',
      `from: [{ topic: ${source} }]
keyBy: string(data.userId)
window: { tumbling: 1d, grace: 1d }
select: [{ name: orders, count: true }]
having: orders > threshold
emit: { to: ${target} }
alert: { severity: info, message: 'User {key}', threshold: 50 }`,
    ),
  ];

  /** Another process of the service. */
  async function worker(): Promise<Inbox> {
    const { pool } = database;
    const group = `group-${source}`;
    const engine = new Engine({ group, pool, ...(await declare(pool, group, queries())) });
    const inbox = new Inbox({
      group,
      topics: [source],
      pool,
      kafka,
      log,
      health: new Health(),
      decode: lazyDecoder({}),
      handle: (tx, events) => engine.handle(tx, events),
      accumulator: engine,
      maxBatch: 20,
    });
    inbox.start();
    running.push(inbox);
    return inbox;
  }

  async function send(from: number, to: number): Promise<void> {
    for (let id = from; id < to; id++) {
      const key = String(id);
      const value = Buffer.from(JSON.stringify({ orderId: id, userId: id % users, totalAmount: id / 100 }));
      const envelope = {
        id: `order-${id}-1`,
        type: 'test.order',
        source: '/test',
        subject: key,
        time: new Date(start),
      };
      const message = { key, value, headers: encodeHeaders(envelope) };
      const partition = await producer.partitionFor(source, key);
      // every tenth is sent twice, as a relay does that was cut off before its cursor moved
      await producer.send(source, partition, id % 10 === 0 ? [message, message] : [message]);
    }
  }

  it('are exact while workers come and go and events are repeated', async () => {
    const first = await worker();
    await send(0, orders / 3);
    await worker();
    await send(orders / 3, (2 * orders) / 3);
    await first.stop();
    await send((2 * orders) / 3, orders);

    const { versions } = await declare(database.pool, `group-${source}`, queries());
    await untilPasses(async () => {
      const windows = await listWindows(database.pool, versions.serving.named('by-user')!, { limit: 100 }, undefined);
      assert.equal(
        windows.reduce((sum, { values }) => sum + Number(values['orders']), 0),
        orders,
      );
    }, 30_000);
    const windows = await listWindows(database.pool, versions.serving.named('by-user')!, { limit: 100 }, undefined);
    const expected = Array.from({ length: users }, (_, user) => {
      const own = Array.from({ length: orders }, (__, id) => id).filter((id) => id % users === user);
      return { key: String(user), values: { revenue: own.reduce((sum, id) => sum + id, 0) / 100, orders: own.length } };
    });
    assert.deepEqual(
      windows.map(({ key, values }) => ({ key, values })),
      expected,
    );

    const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health: new Health() });
    running.push(relay);
    relay.start();
    await emitDue(database.pool, versions);
    relay.wake();
    await untilPasses(async () => {
      const written = await readOutbox(database.pool);
      const ends = await kafka.admin.watermarks(target);
      const published = [...ends.values()].reduce((sum, { high }) => sum + Number(high), 0);
      assert.equal(written.length, published);
    }, 30_000);
    const { rows: alerts } = await database.pool.query('SELECT key FROM alerts ORDER BY key');
    assert.deepEqual(
      alerts,
      expected.map(({ key }) => ({ key })),
    );
  });
});
