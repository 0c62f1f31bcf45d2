import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import pg from 'pg';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { eventually } from '#test/eventually.ts';
import { startProxy } from '#test/proxy.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { createKafka } from '#platform/kafka';
import type { IncomingMessage, Kafka } from '#platform/kafka';
import { partitionOf } from '#platform/kafka/partitioning.ts';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { RecordBatchBuilder } from './record-batch.ts';
import { OutboxRelay } from './relay.ts';
import { slotToEmpty } from './slots.ts';
import { appendToOutbox } from './write.ts';

const log = createLogger('relay-test', 'silent');
const event = (topic: string, key: string, n: number) => ({
  topic,
  key,
  eventId: `order-${key}-${n}`,
  type: 'order.created',
  source: '/orders',
  data: JSON.stringify({ n }),
});
const numberOf = (value: Buffer | null) => (JSON.parse(String(value)) as { n: number }).n;

describe('OutboxRelay', () => {
  let database: TestDatabase;
  let relays: OutboxRelay[];
  /** of the process of the last relay */
  let health: Health;
  beforeEach(async () => {
    database = await createTestDatabase();
    relays = [];
  });
  afterEach(async () => {
    await Promise.all(relays.map((relay) => relay.stop()));
    await database.drop();
  });

  const start = (kafka: Kafka, pool = database.pool, owner?: string, source?: string) => {
    health = new Health();
    const options = { ...(owner !== undefined && { owner }), ...(source !== undefined && { source }) };
    const relay = new OutboxRelay({ name: 'test', pool, kafka, log, health, ...options });
    relays.push(relay);
    relay.start();
    return relay;
  };
  const append = (...events: Parameters<typeof appendToOutbox>[1]) =>
    transaction(database.pool, (tx) => appendToOutbox(tx, events));
  const shards = async () => {
    const { rows } = await database.pool.query<{ shard: number; xid: string; owner: string | null }>(
      'SELECT shard, xid::text, owner FROM millrace.outbox_shards ORDER BY shard',
    );
    return rows;
  };
  const owned = async (relay: string) => (await shards()).filter(({ owner }) => owner?.startsWith(`${relay}/`)).length;

  it('sends an event as a CloudEvent in binary mode, with further headers and the traceparent', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
    await append({ ...event('orders', '7', 1), headers: { dlq_group: 'g', ce_source: '/elsewhere' }, traceparent });
    const written = new Date(Date.now() - 7_200_000);
    await database.pool.query('UPDATE millrace.outbox SET created_at = $1', [written]);
    const sending = Date.now();
    start(kafka);
    await eventually(() => sent.length === 1, 'the event');
    const [{ topic, partition, message } = assert.fail()] = sent;
    assert.deepEqual(
      [topic, partition, message.key, String(message.value)],
      ['orders', partitionOf('7', 6), '7', '{"n":1}'],
    );
    const { ce_time: time, ...headers } = message.headers;
    assert.equal(time, written.toISOString());
    assert.ok(message.timestamp >= sending, 'the record has the time of the sending');
    assert.deepEqual(headers, {
      ce_specversion: '1.0',
      ce_id: 'order-7-1',
      ce_type: 'order.created',
      ce_source: '/elsewhere',
      ce_subject: '7',
      'content-type': 'application/json',
      dlq_group: 'g',
      traceparent,
    });
    assert.deepEqual(await health.report(), { status: 'UP', checks: { 'outbox test': { status: 'UP' } } });
  });

  it('leaves nothing behind when it stops', async () => {
    const kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'relay-test', log });
    const topic = await uniqueTopic('stopping');
    await assertStopsCompletely(kafka, async (own) => {
      await append(...Array.from({ length: 50 }, (_, n) => event(topic, String(n), 1)));
      return new OutboxRelay({ name: 'test', pool: database.pool, kafka: own, log, health: new Health() });
    });
    await kafka.close();
  });

  it('sends the events of a key in the order in which they happened, whatever their transactions began', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    await database.pool.query('CREATE TABLE aggregate (id int PRIMARY KEY, version int)');
    await database.pool.query('INSERT INTO aggregate VALUES (1, 0)');
    const change = async (client: pg.PoolClient) => {
      const { rows } = await client.query<{ version: number }>(
        'UPDATE aggregate SET version = version + 1 WHERE id = 1 RETURNING version',
      );
      await appendToOutbox(client, [event('orders', '1', rows[0]!.version)]);
    };
    const [bystander, early, late] = await Promise.all([1, 2, 3].map(() => database.pool.connect()));
    for (const client of [bystander!, early!, late!]) {
      await client.query('BEGIN');
      await client.query('SELECT pg_current_xact_id()');
    }
    // The later transaction changes the aggregate first, the earlier one waits for it, and both commit while an even
    // earlier one stays open, so that no cursor can pass them.
    await change(late!);
    const waiting = change(early!);
    await late!.query('COMMIT');
    await waiting;
    await early!.query('COMMIT');
    start(kafka); // reads both at once
    await eventually(() => sent.length === 2, 'both, though a transaction from before is open');
    await appendToOutbox(bystander!, [event('orders', '2', 1)]);
    await bystander!.query('COMMIT');
    for (const client of [bystander!, early!, late!]) client.release();
    await eventually(() => sent.length === 3, 'the event of the transaction that was open');
    assert.deepEqual(
      sent.map(({ message }) => message.headers['ce_id']),
      ['order-1-1', 'order-1-2', 'order-2-1'],
    );
  });

  it('publishes the events of a transaction that was open while those of later ones were published', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const keys = Array.from({ length: 20 }, (_, key) => String(key)); // of all shards
    const early = await database.pool.connect();
    try {
      await early.query('BEGIN');
      await early.query('SELECT pg_current_xact_id()');
      await append(...keys.map((key) => event('orders', key, 1)));
      const relay = start(kafka);
      await eventually(() => sent.length === keys.length, 'the events of the later transaction');
      await appendToOutbox(
        early,
        keys.map((key) => event('orders', key, 2)),
      );
      await early.query('COMMIT');
      relay.wake();
      await eventually(() => sent.length === 2 * keys.length, 'those of the earlier one');
    } finally {
      early.release();
    }
    const ids = sent.map(({ message }) => message.headers['ce_id']);
    assert.equal(new Set(ids).size, ids.length, 'nothing twice');
  });

  it('publishes an event store as a view of it has it, and empties no slot of the outbox', async () => {
    const { kafka, sent } = fakeKafka({ accounts: 6 });
    await database.pool.query(`
      CREATE TABLE store (id bigint GENERATED ALWAYS AS IDENTITY, xid xid8 DEFAULT pg_current_xact_id(), account int);
      CREATE VIEW store_events AS SELECT id, xid, (account & 3)::smallint AS shard, 'accounts'::text AS topic,
        account::text AS key, 'account-' || id AS event_id, 'account.opened'::text AS type, '/accounts'::text AS source,
        '{}'::bytea AS data, NULL::jsonb AS headers, NULL::text AS traceparent, now() AS created_at FROM store`);
    await database.pool.query('INSERT INTO store (account) SELECT generate_series(1, 8)');
    const slot = slotToEmpty(Date.now());
    await database.pool.query(
      `INSERT INTO millrace.outbox (slot, topic, key, event_id, type, source, data)
       VALUES ($1, 't', '1', 'e', 't', '/s', '{}')`,
      [slot],
    );
    start(kafka, database.pool, undefined, 'store_events');
    await eventually(() => sent.length === 8, 'the events of the store');
    assert.equal((await database.pool.query(`SELECT FROM millrace.outbox_${slot}`)).rowCount, 1);
    assert.deepEqual(new Set(sent.map(({ topic }) => topic)), new Set(['accounts']));
  });

  it('publishes every shard that the migrations have made', async () => {
    const { kafka, sent } = fakeKafka({ counts: 4 });
    await database.pool.query(`
      INSERT INTO millrace.outbox_shards (shard) VALUES (4), (5);
      CREATE VIEW counted AS SELECT n::bigint AS id, '1'::xid8 AS xid, n::smallint AS shard, 'counts'::text AS topic, n::text AS key,
        'count-' || n AS event_id, 'counted'::text AS type, '/counts'::text AS source, '{}'::bytea AS data,
        NULL::jsonb AS headers, NULL::text AS traceparent, now() AS created_at FROM generate_series(0, 5) AS n`);
    start(kafka, database.pool, undefined, 'counted');
    await eventually(() => sent.length === 6, 'an event of each shard');
  });

  it('does not move the cursor over what Kafka has not acknowledged, and goes on when it does', async () => {
    const { kafka, sent, failWith } = fakeKafka({ orders: 6 });
    const relay = start(kafka);
    await eventually(async () => (await shards()).every((row) => row.owner), 'the shards are owned');
    failWith((_, partition) => (partition === partitionOf('1', 6) ? 'it was not acknowledged' : undefined));
    await append(event('orders', '1', 1), event('orders', '2', 1));
    relay.wake();
    await eventually(async () => {
      const { status, checks } = await health.report();
      return (
        status === 'DOWN' && /the outbox is not published: .*not acknowledged/.test(checks['outbox test']!.reason!)
      );
    }, 'the health of the service says that the outbox is not published');
    assert.equal((await health.readiness()).status, 'UP', 'requests are answered all the same');
    await append(event('orders', '2', 2));
    relay.wake();
    await eventually(() => sent.length === 2, 'the other partition goes on');
    const { rows } = await database.pool.query(
      `SELECT FROM millrace.outbox o JOIN millrace.outbox_shards s USING (shard) WHERE o.key = '1' AND (o.xid, o.id) > (s.xid, s.id)`,
    );
    assert.equal(rows.length, 1, 'the cursor is before the event');
    failWith(undefined);
    await eventually(() => sent.length === 3, 'the event');
    assert.deepEqual(
      sent.map(({ message }) => message.headers['ce_id']),
      ['order-2-1', 'order-2-2', 'order-1-1'],
      'nothing twice',
    );
    await eventually(async () => (await health.report()).status === 'UP', 'it is well again');
  });

  it('goes on where the last one stopped', async () => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    await append(...Array.from({ length: 3_000 }, (_, i) => event('orders', String(i % 50), i)));
    const first = start(kafka);
    await eventually(() => sent.length > 500, 'some');
    await first.stop();
    assert.deepEqual(new Set((await shards()).map((row) => row.owner)), new Set([null]), 'the shards are given back');
    const second = start(kafka);
    await eventually(() => sent.length >= 3_000, 'all');
    await append(event('orders', '0', 3_000));
    second.wake();
    await eventually(() => sent.some(({ message }) => message.headers['ce_id'] === 'order-0-3000'), 'the last');
    assert.equal(new Set(sent.map(({ message }) => message.headers['ce_id'])).size, 3_001);
    // where some transaction of the server stays open too long, the successor sends a few again
    for (const messages of Map.groupBy(sent, ({ message }) => message.key).values()) {
      const numbers = [...new Set(messages.map(({ message }) => numberOf(message.value)))];
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    }
  });

  it('takes over from a relay that has lost the database, which then leaves the shards alone', async (t) => {
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const { hostname, port } = new URL(database.url);
    const proxy = await startProxy(hostname, Number(port));
    const url = new URL(database.url);
    url.port = String(proxy.port);
    const pool = new pg.Pool({ connectionString: url.href, max: 4 });
    pool.on('error', () => undefined);
    t.after(async () => {
      await cutOff.stop();
      await pool.end();
      await proxy.stop();
    });
    const cutOff = start(kafka, pool, 'cut-off');
    await eventually(async () => (await owned('cut-off')) === 4, 'the first relay has all shards');
    proxy.cut();
    start(kafka, database.pool, 'successor');
    await append(...Array.from({ length: 40 }, (_, i) => event('orders', String(i), i)));
    await database.pool.query(`UPDATE millrace.outbox_shards SET lease_until = now() - interval '1 second'`);
    await eventually(async () => (await owned('successor')) === 4, 'the second relay has all shards');
    const published = () => new Set(sent.map(({ message }) => message.headers['ce_id'])).size;
    await eventually(() => published() === 40, 'all events');
    proxy.restore();
    await eventually(async () => (await owned('cut-off')) === 2, 'both share when the first is back');
    assert.equal(await owned('successor'), 2);
    await append(...Array.from({ length: 40 }, (_, i) => event('orders', String(i), i + 100)));
    // the server has transactions of other tests: where one stays open while a shard changes hands, a few come twice
    await eventually(() => published() === 80, 'all events');
  });
});

describe('OutboxRelay with Kafka', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  before(async () => {
    database = await createTestDatabase();
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'relay-test', log });
  });
  after(async () => {
    await kafka.close();
    await database.drop();
  });

  function receive(topic: string) {
    const received: IncomingMessage[] = [];
    const consumer = kafka.consumer({
      group: `group-${topic}`,
      topics: [topic],
      from: 'earliest',
      onBatch: (batch) => {
        received.push(...batch.messages);
        return Promise.resolve(true);
      },
    });
    consumer.start();
    return { received, consumer };
  }

  it('keeps the order of each key with two relays, one of which comes and goes', async (t) => {
    const topic = await uniqueTopic('relayed', 6);
    const { received, consumer } = receive(topic);
    const [steady, visitor] = [0, 1].map(
      () => new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health: new Health() }),
    ) as [OutboxRelay, OutboxRelay];
    t.after(() => Promise.all([steady.stop(), visitor.stop(), consumer.stop()]));
    steady.start();
    const keys = 40;
    const perKey = 50;
    let written = 0;
    const writer = async (key: number) => {
      for (let n = 1; n <= perKey; n += 1) {
        await transaction(database.pool, (tx) => appendToOutbox(tx, [event(topic, String(key), n)]));
        written += 1;
        if (n % 10 === 0) steady.wake();
      }
    };
    const writing = Promise.all(Array.from({ length: keys }, (_, key) => writer(key)));
    await eventually(() => written > 200, 'some events');
    visitor.start();
    await eventually(async () => {
      const { rows } = await database.pool.query(
        'SELECT DISTINCT owner FROM millrace.outbox_shards WHERE owner IS NOT NULL',
      );
      return rows.length === 2;
    }, 'both have shards');
    await writing;
    await visitor.stop();
    const isAll = () => new Set(received.map(({ headers }) => headers['ce_id'])).size === keys * perKey;
    await eventually(isAll, 'all events', 30_000);
    // a send that was repeated may have come twice; what counts is where an event comes first
    for (const [key, messages] of Map.groupBy(received, (message) => message.key)) {
      const numbers = messages.map((message) => numberOf(message.value));
      assert.deepEqual(
        [...new Set(numbers)],
        Array.from({ length: perKey }, (_, i) => i + 1),
        `the order of key ${key}`,
      );
    }
  });

  it('sends record batches, with the data of the database after a failure, and large events in their order', async (t) => {
    const topic = await uniqueTopic('batches', 2);
    const { received, consumer } = receive(topic);
    let failures = 0;
    const unwilling: Kafka = {
      ...kafka,
      async producer() {
        const producer = await kafka.producer();
        return {
          partitionsOf: (name) => producer.partitionsOf(name),
          partitionFor: (name, key) => producer.partitionFor(name, key),
          close: () => producer.close(),
          send: (...args) => ((failures += 1) > 3 ? producer.send(...args) : Promise.reject(new Error('not now'))),
        };
      },
    };
    const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka: unwilling, log, health: new Health() });
    t.after(() => Promise.all([relay.stop(), consumer.stop()]));
    const keys = 5;
    const count = 4_000;
    const builder = new RecordBatchBuilder({ topic, type: 'order.created', source: '/orders' });
    for (let n = 0; n < count; n++) {
      const data = JSON.stringify({ n, text: 'x'.repeat(400) });
      builder.add({ key: `batch-${n % keys}`, eventId: String(n), data });
    }
    const sizes = [1, 70_000, 1, 200_000, 70_000, 1];
    const events = sizes.map((size, n) => {
      const data = JSON.stringify({ n, text: 'x'.repeat(size) });
      return { ...event(topic, 'single', n), data: n === 1 ? Buffer.from(data) : data };
    });
    await transaction(database.pool, (tx) => appendToOutbox(tx, [...builder.finish(), ...events]));
    relay.start();
    const isAll = () => new Set(received.map(({ headers }) => headers['ce_id'])).size === count + sizes.length;
    await eventually(isAll, 'all', 30_000);
    assert.ok(failures > 3);
    const byKey = Map.groupBy(received, (message) => message.key);
    const numbersOf = (key: string) => [...new Set(byKey.get(key)!.map(({ value }) => numberOf(value)))];
    for (let key = 0; key < keys; key++) {
      const expected = Array.from({ length: count / keys }, (_, i) => i * keys + key);
      assert.deepEqual(numbersOf(`batch-${key}`), expected);
    }
    assert.deepEqual(numbersOf('single'), [0, 1, 2, 3, 4, 5]);
  });
});
