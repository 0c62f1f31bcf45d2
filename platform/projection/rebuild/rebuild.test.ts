import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeHeaders } from '#platform/contract';
import { decodeEvent } from '#contracts/index.ts';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { lamp, log } from '../../../services/orders/test-support.ts';
import { processOrderEvents, projectionTables } from '../../../services/orders/projection/order-event-processor.ts';
import { Rebuilder } from './rebuilder.ts';
import { createNextTables, nextSchema, shapeOf } from './tables.ts';

const withinMs = 60_000;

async function until(what: string, holds: () => Promise<unknown>): Promise<void> {
  for (const end = performance.now() + withinMs; !(await holds()); await sleep(20)) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

describe('building the read model anew', () => {
  let kafka: Kafka;
  let producer: Producer;
  let database: TestDatabase;
  let topic: string;
  let group: string;
  let inbox: Inbox;
  let rebuilders: Rebuilder[];
  let orders = 0;

  before(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'rebuild-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    await producer.close();
    await kafka.close();
  });
  beforeEach(async () => {
    [rebuilders, orders] = [[], 0];
    [database, topic] = await Promise.all([createTestDatabase('orders-read'), uniqueTopic('order-events', 3)]);
    group = `projection-${topic}`;
    inbox = new Inbox({
      group,
      topics: [topic],
      pool: database.pool,
      kafka,
      log,
      health: new Health(),
      decode: decodeEvent,
      handle: processOrderEvents,
    });
    inbox.start();
  });
  afterEach(async () => {
    await Promise.all(rebuilders.map((rebuilder) => rebuilder.stop()));
    await inbox.stop();
    await database.drop();
  });

  const newRebuilder = (via: Kafka) => {
    const { url } = database;
    return new Rebuilder({
      group,
      topics: [topic],
      url,
      kafka: via,
      decode: decodeEvent,
      handle: processOrderEvents,
      tables: projectionTables,
      log,
      onSwitched: () => undefined,
      pollMs: 100,
    });
  };
  const startRebuilder = (via = kafka) => {
    const rebuilder = newRebuilder(via);
    rebuilders.push(rebuilder);
    rebuilder.start();
    return rebuilder;
  };
  const send = async (id: number, type: string, data: object) => {
    const time = new Date(Date.UTC(2026, 0, 1));
    const envelope = { id: `${type}-${id}`, type, source: '/orders', subject: String(id), time };
    const common = { orderId: id, userId: 3, totalAmount: 19.98, createdAt: time.toISOString() };
    const value = Buffer.from(JSON.stringify({ ...common, ...data }));
    const partition = await producer.partitionFor(topic, String(id));
    const messages = [{ key: String(id), value, headers: encodeHeaders(envelope) }];
    // a new topic may still be without a leader
    await until('it is sent', () =>
      producer.send(topic, partition, messages).then(
        () => true,
        () => false,
      ),
    );
  };
  /** Places some orders and ships every second of them. */
  const trade = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      orders += 1;
      await send(orders, 'order.created', { status: 'PENDING', items: [lamp], shippingAddress: null, notes: null });
      if (orders % 2 === 0)
        await send(orders, 'order.status-changed', {
          status: 'SHIPPED',
          previousStatus: 'PENDING',
          version: 2,
          changedAt: new Date().toISOString(),
        });
    }
  };
  const request = (name = 'one') =>
    database.pool.query('INSERT INTO projection_rebuilds (consumer_group, request) VALUES ($1, $2)', [group, name]);
  const rebuild = async () => {
    const { rows } = await database.pool.query<{ phase: string; error: string | null; events: string }>(
      'SELECT phase, error, events FROM projection_rebuilds ORDER BY version DESC LIMIT 1',
    );
    return rows[0]!;
  };
  const summary = async () => {
    const { rows } = await database.pool.query<{ status: string; n: number }>(
      'SELECT status, count(*)::int AS n FROM orders GROUP BY status ORDER BY status',
    );
    const { rows: counts } = await database.pool.query<{ status: string; n: number }>(
      'SELECT status, sum(orders)::int AS n FROM order_statistics GROUP BY status HAVING sum(orders) > 0 ORDER BY status',
    );
    return { rows, counts };
  };
  const right = async () => {
    const shipped = Math.floor(orders / 2);
    const expected = [
      { status: 'PENDING', n: orders - shipped },
      { status: 'SHIPPED', n: shipped },
    ];
    return JSON.stringify(await summary()) === JSON.stringify({ rows: expected, counts: expected });
  };

  it('leaves nothing behind when it stops, in the middle of a build too', async () => {
    await trade(10);
    await inbox.stop();
    await assertStopsCompletely(kafka, async (own) => {
      await database.pool.query('DELETE FROM projection_rebuilds');
      await request();
      return newRebuilder(own);
    });
  });

  it('takes the place of one that is wrong, in one step, while events come in', async () => {
    await trade(30);
    await until('all are projected', right);
    const shape = await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, 'public'));
    // a mistake of an earlier program: some orders are missing, others wrong
    await database.pool.query(
      "DELETE FROM orders WHERE id % 3 = 0; UPDATE orders SET status = 'CANCELLED' WHERE id % 5 = 0",
    );
    await request();
    startRebuilder();
    startRebuilder(); // another replica
    let seen = 0;
    const done = new AbortController();
    const reading = (async () => {
      // whoever reads meanwhile sees a version as a whole, and never an empty one
      while (!done.signal.aborted) {
        const { rows } = await database.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM orders');
        assert.ok(rows[0]!.n >= 20, `${rows[0]!.n} orders`);
        seen += 1;
      }
    })();
    await trade(30);
    await until('the new version is in use', async () => (await rebuild()).phase === 'Switched');
    await trade(10);
    await until('it is right, and goes on', right);
    done.abort();
    await reading;
    assert.ok(seen > 0);
    // a migration finds everything by the same names
    assert.equal(await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, 'public')), shape);
    const { rows } = await database.pool.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_namespace WHERE nspname LIKE 'projection%'",
    );
    assert.equal(rows[0]!.n, 0);
  });

  it('goes on where it was interrupted', async () => {
    await trade(20);
    await until('all are projected', right);
    await request();
    const first = startRebuilder();
    await until('it has begun', async () => (await rebuild()).phase !== 'Requested');
    await first.stop();
    startRebuilder();
    await until('the new version is in use', async () => (await rebuild()).phase === 'Switched');
    assert.ok(await right());
  });

  it('reads on though events came before it knew where to begin', async () => {
    await trade(10);
    await until('all are projected', right);
    const fetched = Promise.withResolvers<void>();
    const telling: Kafka = {
      ...kafka,
      consumer: (options) =>
        kafka.consumer({
          ...options,
          onBatch(batch) {
            fetched.resolve();
            return options.onBatch(batch);
          },
        }),
    };
    await transaction(database.pool, (tx) => createNextTables(tx, projectionTables));
    await database.pool.query(
      "INSERT INTO projection_rebuilds (consumer_group, request, phase) VALUES ($1, 'r', 'Building')",
      [group],
    );
    await transaction(database.pool, async (tx) => {
      await tx.query('LOCK TABLE inbox_offsets');
      startRebuilder(telling);
      await fetched.promise;
      await trade(10);
    });
    await until('the new version is in use', async () => (await rebuild()).phase === 'Switched');
    assert.ok(await right());
  });

  it('ends where it cannot handle what the version in use has handled, which stays', async () => {
    await trade(6);
    await until('all are projected', right);
    // as if the version in use had been able to read it
    await producer.send(topic, 0, [{ key: 'x', value: Buffer.from('{}'), headers: {} }]);
    await until('the live version has passed it', async () => {
      const { rows } = await database.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM dead_letters');
      return rows[0]!.n === 1;
    });
    await request('dead letters are left out');
    startRebuilder();
    await until('it is in use', async () => (await rebuild()).phase === 'Switched');
    await database.pool.query('DELETE FROM dead_letters');
    await request('and others are not');
    await until('it has failed', async () => (await rebuild()).phase === 'Failed');
    assert.match((await rebuild()).error!, /ce_id|event|header/i);
    assert.ok(await right());
  });

  it('is given up where a migration changes the tables meanwhile', async () => {
    await trade(4);
    await until('all are projected', right);
    await transaction(database.pool, (tx) => createNextTables(tx, projectionTables));
    await database.pool.query('ALTER TABLE orders ADD COLUMN note text');
    await database.pool.query(
      "INSERT INTO projection_rebuilds (consumer_group, request, phase) VALUES ($1, 'r', 'Building')",
      [group],
    );
    startRebuilder();
    await until('it has failed', async () => (await rebuild()).phase === 'Failed');
    assert.match((await rebuild()).error!, /a migration has changed the tables/);
    const shape = await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, nextSchema));
    assert.equal(shape, '');
  });
});
