import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, it } from 'node:test';
import { encodeHeaders, createDecoder, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { recover } from './recover.ts';
import type { Recovery } from './recover.ts';
import { OutboxRelay } from '#platform/outbox';

describe('the recovery of a database that was put back', () => {
  const log = createLogger('recover-test', 'silent');
  let kafka: Kafka;
  let database: TestDatabase;
  let topic: string;
  before(() => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'recover-test', log });
  });
  after(() => kafka.close());
  beforeEach(async () => {
    database = await createTestDatabase('orders');
    topic = await uniqueTopic('recover', 1);
  });
  afterEach(() => database.drop());

  /** @param key of the records; default: that of each id */
  const send = async (ids: string[], key?: string): Promise<void> => {
    const producer = await kafka.producer();
    const messages = ids.map((id) => {
      const [, subject] = id.split('-') as [string, string];
      const headers = encodeHeaders({ id, type: 'order.created', source: '/orders', subject, time: new Date() });
      return { key: key ?? subject, value: Buffer.from(JSON.stringify({ id })), headers };
    });
    await producer.send(topic, 0, messages);
    await producer.close();
  };
  /** Writes the events to the event store, as a service does. */
  const recovery = (): Recovery => ({
    topic,
    sequence: 'orders_id_seq',
    keyOf: ({ id }) => Number(id.split('-')[1]),
    eventStore: 'outbox',
    decode: createDecoder(readJson),
    begin: (tx) => ({
      async take(events) {
        const { rows } = await tx.query<{ id: string }>(
          `INSERT INTO order_events (order_id, version, type, data)
           SELECT split_part(id, '-', 2)::bigint, split_part(id, '-', 3)::int, 'order.created', '{}' FROM unnest($1::text[]) AS id
           ON CONFLICT DO NOTHING RETURNING 'order-' || order_id || '-' || version AS id`,
          [events.map(({ id }) => id)],
        );
        return { events: rows.map(({ id }) => id), conflicts: [] };
      },
    }),
  });
  const place = (id: number) =>
    database.pool.query(
      `INSERT INTO order_events (order_id, version, type, data) VALUES ($1, 1, 'order.created', '{}')`,
      [id],
    );
  const nextKey = async () => {
    const { rows } = await database.pool.query<{ id: string }>(`SELECT nextval('orders_id_seq') AS id`);
    return Number(rows[0]!.id);
  };

  it('takes back what the topic has, draws no key again, and publishes nothing of it again', async () => {
    const fake = fakeKafka({ 'order-events': 6 });
    const relay = new OutboxRelay({
      name: 'test',
      pool: database.pool,
      kafka: fake.kafka,
      log,
      health: new Health(),
      source: 'outbox',
    });
    await send(['order-1-1', 'order-2-1', 'order-7-1', 'order-1-2']);
    await place(1); // published, and the cursor of the backup has not passed it
    relay.start();
    try {
      await eventually(() => fake.sent.length === 1, 'the relay runs');
      const { events, isPublishedAgain } = await recover(recovery(), { pool: database.pool, kafka, isTrial: false });
      assert.deepEqual(events.toSorted(), ['order-1-2', 'order-2-1', 'order-7-1']);
      assert.equal(isPublishedAgain, false);
      assert.ok((await nextKey()) > 1_000_000 + 7);
      await place(9);
      const ids = () => fake.sent.map(({ message }) => message.headers['ce_id']);
      await eventually(() => ids().includes('order-9-1'), 'the relay goes on', 20_000);
      assert.deepEqual(
        ids().filter((id) => id !== 'order-1-1' && id !== 'order-9-1'),
        [],
      );
    } finally {
      await relay.stop();
    }
  });

  it('lets the relays publish what the topic does not have', async () => {
    await place(3);
    await send(['order-4-1']);
    const { isPublishedAgain } = await recover(recovery(), { pool: database.pool, kafka, isTrial: false });
    assert.equal(isPublishedAgain, true);
    const { rows } = await database.pool.query(
      `SELECT FROM millrace.outbox_shards s JOIN outbox o ON o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id)`,
    );
    assert.equal(rows.length, 2);
  });

  it('lets the relays publish what was committed meanwhile', async () => {
    await send(['order-4-1']);
    const { begin, ...rest } = recovery();
    const inFlight = await database.pool.connect();
    try {
      await inFlight.query('BEGIN; SELECT pg_current_xact_id()');
      const run = recover(
        {
          ...rest,
          begin(tx) {
            const writer = begin(tx);
            return {
              ...writer,
              async finish() {
                await inFlight.query(
                  `INSERT INTO order_events (order_id, version, type, data) VALUES (8, 1, 'order.created', '{}'); COMMIT`,
                );
                return { events: [], conflicts: [], refused: [] };
              },
            };
          },
        },
        { pool: database.pool, kafka, isTrial: false },
      );
      assert.equal((await run).isPublishedAgain, true);
    } finally {
      inFlight.release();
    }
    const { rows } = await database.pool.query<{ id: string }>(
      `SELECT o.event_id AS id FROM millrace.outbox_shards s JOIN outbox o ON o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id)`,
    );
    assert.ok(rows.some(({ id }) => id === 'order-8-1'));
  });

  it('draws keys that are exact numbers, whatever the keys of records and events are', async () => {
    await send(['order-4-1']);
    await send(['order-5-1'], '900000000000000000');
    await send([`order-${Number.MAX_SAFE_INTEGER}-1`]);
    const { events, tooHigh } = await recover(recovery(), { pool: database.pool, kafka, isTrial: false });
    assert.equal(events.length, 3);
    assert.deepEqual(tooHigh, [`order-${Number.MAX_SAFE_INTEGER}-1`]);
    assert.equal(await nextKey(), 1_000_000 + 5 + 1);
  });

  it('names what the database refuses, and takes back all else', async () => {
    await send(['order-4-1', 'order-5-none', 'order-5-1', 'order-6-99999999999', 'order-7-1']);
    const { events, refused } = await recover(recovery(), { pool: database.pool, kafka, isTrial: false });
    assert.deepEqual(events.toSorted(), ['order-4-1', 'order-5-1', 'order-7-1']);
    assert.deepEqual(
      refused.map(({ id }) => id),
      ['order-5-none', 'order-6-99999999999'],
    );
    assert.match(refused[0]!.reason, /invalid input syntax/);
  });

  it('lists without a change', async () => {
    await send(['order-5-1']);
    const { events } = await recover(recovery(), { pool: database.pool, kafka, isTrial: true });
    assert.deepEqual(events, ['order-5-1']);
    const { rows } = await database.pool.query('SELECT FROM order_events');
    assert.equal(rows.length, 0);
    assert.equal(await nextKey(), 1);
  });
});
