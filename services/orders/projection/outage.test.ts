import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { decodeEvent } from '#contracts/index.ts';
import { encodeHeaders } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { createPool, roleOf, withClient } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { testServers } from '#test/servers.ts';
import { createOrdersApp } from '../app.ts';
import { clientOf, lamp, log } from '../testing.ts';
import { processOrderEvents } from './order-event-processor.ts';

/** the attempts after which a message that fails by itself is a dead letter, and more */
const manyAttempts = 6;

describe('the read model while its database fails', () => {
  const { postgres } = testServers();
  let kafka: Kafka;
  let database: TestDatabase;
  let topic: string;
  before(() => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'projection-outage-test', log });
  });
  after(() => kafka.close());
  beforeEach(async () => {
    [database, topic] = await Promise.all([createTestDatabase('orders-read'), uniqueTopic('order-events', 3)]);
  });

  /** The projection and the queries, as a role of their own that may do what the service may. */
  async function start(t: TestContext) {
    const role = `reader_${randomBytes(4).toString('hex')}`;
    await withClient(postgres, (admin) =>
      admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'right' IN ROLE ${roleOf('orders-read')}`),
    );
    const url = Object.assign(new URL(database.url), { username: role, password: 'right' }).href;
    const pool = createPool({ name: role, url, max: 4, log, statementMs: 200 });
    const health = new Health();
    let attempts = 0;
    const inbox = new Inbox({
      group: `projection-${topic}`,
      topics: [topic],
      pool,
      kafka,
      log,
      health,
      decode: decodeEvent,
      handle: (tx, events) => {
        attempts += 1;
        return processOrderEvents(tx, events);
      },
    });
    const users = { find: () => Promise.resolve(undefined) };
    const app = createOrdersApp({ writePool: pool, readPool: pool, users, health, log, wakeRelay: () => undefined });
    const send = clientOf(`http://127.0.0.1:${await app.http.listen(0, '127.0.0.1')}`);
    inbox.start();
    t.after(async () => {
      await Promise.all([inbox.stop(), app.http.close()]);
      await pool.end();
      await database.drop();
      await withClient(postgres, (admin) => admin.query(`DROP ROLE ${role}`));
    });
    await eventually(async () => (await health.report()).status === 'UP', 'it runs');
    const isDown = async () =>
      (await health.report()).status === 'DOWN' && (await send('GET', '/orders')).status === 503;
    return { role, send, isDown, attempts: () => attempts };
  }

  async function publish(): Promise<void> {
    const producer = await kafka.producer();
    for (const id of [1, 2, 3]) {
      const time = new Date();
      const data = {
        orderId: id,
        userId: 1,
        status: 'PENDING',
        totalAmount: lamp.totalPrice,
        items: [lamp],
        shippingAddress: null,
        notes: null,
        createdAt: time.toISOString(),
      };
      const [key, value] = [String(id), Buffer.from(JSON.stringify(data))];
      const envelope = { id: `order-${id}-1`, type: 'order.created', source: '/orders', subject: key, time };
      const partition = await producer.partitionFor(topic, key);
      await producer.send(topic, partition, [{ key, value, headers: encodeHeaders(envelope) }]);
    }
    await producer.close();
  }
  const letters = async () => (await database.pool.query('SELECT FROM millrace.dead_letters')).rowCount;

  async function assertComplete({ send }: Awaited<ReturnType<typeof start>>): Promise<void> {
    await eventually(
      async () => {
        const { status, body } = await send('GET', '/orders');
        return status === 200 && body.length === 3;
      },
      'the three orders',
      30_000,
    );
    assert.equal(await letters(), 0);
  }

  it('has the orders of the time in which its password was another one', async (t) => {
    const service = await start(t);
    const change = (password: string) =>
      withClient(postgres, (admin) => admin.query(`ALTER ROLE ${service.role} PASSWORD '${password}'`));
    const endSessions = () =>
      withClient(postgres, (admin) =>
        admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [service.role]),
      );
    await change('other');
    await eventually(async () => {
      await endSessions(); // again and again: one whose password was checked before the change appears after it
      return (await service.send('GET', '/orders')).status === 503;
    }, 'queries are 503');
    await publish();
    await eventually(service.isDown, 'the health says so');
    await change('right');
    await assertComplete(service);
  });

  it('has the orders of the time in which a table was locked', async (t) => {
    const service = await start(t);
    const somebody = new pg.Client({ connectionString: database.url });
    await somebody.connect();
    try {
      await somebody.query(
        'SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE',
      );
      await publish();
      await eventually(() => service.attempts() > manyAttempts, 'more attempts than a message has', 30_000);
      await eventually(service.isDown, 'queries are 503, and the health says so');
      assert.equal(await letters(), 0);
    } finally {
      await somebody.end();
    }
    await assertComplete(service);
  });
});
