import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { eventually as untilTrue } from '#test/eventually.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { brokerError } from '#platform/kafka/testing/fake-error.ts';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { createLogger, registry } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { rawRecordEvent, RecordBatchBuilder, recordBatchType } from './record-batch.ts';
import { OutboxRelay } from './relay.ts';
import { appendToOutbox } from './write.ts';
import type { OutboxEvent } from './write.ts';

const log = createLogger('parked-test', 'silent');
const event = (topic: string, key: string, n: number, size = 0): OutboxEvent => ({
  topic,
  key,
  eventId: `${topic}-${key}-${n}`,
  type: 'order.created',
  source: '/orders',
  data: JSON.stringify({ n, text: 'x'.repeat(size) }),
});

/** A parked event is tried again within half a minute, and transactions of other tests hold back the cursors. */
const eventually: typeof untilTrue = (check, what) => untilTrue(check, what, 60_000);

/** A Kafka, how far the partition 0 of its topics is, and what reads their records as they come. */
function realKafka(t: TestContext) {
  const kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'parked-test', log });
  t.after(() => kafka.close());
  const high = async (topic: string) => (await kafka.admin.watermarks(topic)).get(0)!.high;
  const read = (topic: string) => {
    const found: { key: Buffer; value: string }[] = [];
    const consumer = kafka.consumer({
      group: `reader-${topic}`,
      topics: [topic],
      from: 'earliest',
      onBatch: ({ messages }) => {
        found.push(...messages.map((one) => ({ key: one.raw!().key!, value: String(one.value) })));
        return Promise.resolve(true);
      },
    });
    consumer.start();
    return found;
  };
  return { kafka, high, read };
}

/** An outbox, what is in it, and relays that publish it until the end of the test. */
async function createOutbox(t: TestContext) {
  const { pool, drop } = await createTestDatabase();
  const relays: OutboxRelay[] = [];
  t.after(async () => {
    await Promise.all(relays.map((relay) => relay.stop()));
    await drop();
  });
  const start = (kafka: Kafka) => {
    const health = new Health();
    const relay = new OutboxRelay({ name: 'test', pool, kafka, log, health });
    relays.push(relay);
    relay.start();
    const reasonOf = async () => (await health.report()).checks['outbox test']!.reason;
    return { relay, health, reasonOf };
  };
  const append = (...events: OutboxEvent[]) => transaction(pool, (tx) => appendToOutbox(tx, events));
  const parked = async () => {
    const { rows } = await pool.query<{ event_id: string; attempts: number; reason: string }>(
      'SELECT event_id, attempts, reason FROM millrace.outbox_parked ORDER BY id, part',
    );
    return rows;
  };
  const pastCursor = async () => {
    const { rowCount } = await pool.query(
      'SELECT FROM millrace.outbox o JOIN millrace.outbox_shards s USING (shard) WHERE (o.xid, o.id) > (s.xid, s.id)',
    );
    return rowCount;
  };
  return { pool, start, append, parked, pastCursor };
}

const ids = (sent: ReturnType<typeof fakeKafka>['sent']) => sent.map(({ message }) => message.headers['ce_id']);

describe('parked events of the outbox', { concurrency: true }, () => {
  it('are published that a statement has parked whose relay had lost it', async (t) => {
    const { pool, start, append, parked } = await createOutbox(t);
    const { kafka, sent } = fakeKafka({ orders: 6 });
    const { relay } = start(kafka);
    await append(event('orders', '1', 1));
    relay.wake();
    await eventually(() => sent.length === 1, 'the relay has its shards');
    await pool.query(
      `INSERT INTO millrace.outbox_parked (outbox, topic, id, part, shard, key, event_id, type, source, data, created_at, reason, attempts)
       SELECT 'millrace.outbox', topic, id + 1, 0, shard, key, 'orders-1-2', type, source, data, created_at, 'it was away', 1
       FROM millrace.outbox`,
    );
    await eventually(() => ids(sent).includes('orders-1-2'), 'it is published');
    await eventually(async () => (await parked()).length === 0, 'none is parked');
  });

  it('of a missing topic hold up no others, are named, and are published in order when the topic appears', async (t) => {
    const { start, append, parked, pastCursor } = await createOutbox(t);
    const topics: Record<string, number> = { orders: 6 };
    const { kafka, sent } = fakeKafka(topics);
    const { relay, health, reasonOf } = start(kafka);
    await append(event('gone', '1', 1), event('orders', '1', 1), event('gone', '2', 1), event('gone', '1', 2));
    relay.wake();
    await eventually(async () => (await parked()).length === 3, 'the events of the missing topic are parked');
    await append(event('gone', '1', 3), event('orders', '1', 2));
    relay.wake();
    await eventually(() => sent.length === 2, 'the events of the other topic');
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
    const reason = await eventually(async () => {
      const { status } = await health.report();
      return status === 'DOWN' && (await reasonOf());
    }, 'the health names the topic');
    assert.match(reason, /^\d events of gone since \S+Z: topic gone has no partitions$/);
    assert.equal((await health.readiness()).status, 'UP');
    const gauge = async () =>
      /millrace_outbox_parked\{database="[^"]+",topic="gone"[^}]*\} (\d+)/.exec(await registry.metrics())?.[1];
    await eventually(async () => (await gauge()) === '4', 'the metric');
    topics['gone'] = 3;
    await eventually(() => sent.length === 6, 'the parked events');
    assert.deepEqual(ids(sent.filter(({ message, topic }) => topic === 'gone' && message.key === '1')), [
      'gone-1-1',
      'gone-1-2',
      'gone-1-3',
    ]);
    await eventually(async () => (await parked()).length === 0, 'none is parked');
    await eventually(async () => (await health.report()).status === 'UP', 'it is well again');
    await eventually(async () => (await gauge()) === '0', 'the metric says so');
    await append(event('gone', '1', 4));
    relay.wake();
    await eventually(() => ids(sent).at(-1) === 'gone-1-4', 'a later event');
  });

  it('of a topic that is held wait for it, and hold up no others', async (t) => {
    const { pool, start, append, parked, pastCursor } = await createOutbox(t);
    const { kafka, sent } = fakeKafka({ held: 6, orders: 6 });
    const { relay } = start(kafka);
    await append(event('held', '1', 1));
    relay.wake();
    await eventually(() => sent.length === 1, 'the topic is known');
    await pool.query(`UPDATE millrace.outbox_topics SET held_until = 'infinity'`);
    let n = 1;
    await eventually(async () => {
      await append(event('held', '1', (n += 1)));
      return (await parked()).length > 0;
    }, 'the relay knows that the topic is held');
    const first = n + 1;
    await append(...Array.from({ length: 6_000 }, (_, i) => event('held', String(i % 50), first + i)));
    await append(event('orders', '1', 1));
    relay.wake();
    await eventually(() => ids(sent).includes('orders-1-1'), 'the other topic');
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
    await pool.query('UPDATE millrace.outbox_topics SET held_until = NULL');
    await eventually(async () => (await parked()).length === 0, 'they are sent');
    const numbers = Map.groupBy(
      sent.filter(({ topic }) => topic === 'held').map(({ message }) => message),
      ({ key }) => key,
    );
    for (const [key, messages] of numbers) {
      const own = [...new Set(messages.map(({ value }) => (JSON.parse(String(value)) as { n: number }).n))];
      assert.deepEqual(
        own,
        own.toSorted((a, b) => a - b),
        `the order of key ${key}`,
      );
    }
    assert.equal(new Set(ids(sent)).size, n + 6_000 + 1);
  });

  it('that are too large hold up only their keys, until they are discarded', async (t) => {
    const { pool, start, append, parked } = await createOutbox(t);
    const { kafka, sent, failWith } = fakeKafka({ orders: 1 });
    failWith((_topic, _partition, messages) =>
      messages.some(({ value }) => value.length > 5_000) ? brokerError('MESSAGE_TOO_LARGE') : undefined,
    );
    const { relay } = start(kafka);
    const small = Array.from({ length: 20 }, (_, n) => event('orders', String(n), 1));
    await append(...small, event('orders', '3', 2, 10_000), event('orders', '3', 3), event('orders', '4', 2));
    relay.wake();
    await eventually(() => sent.length === 21, 'the others');
    await eventually(async () => (await parked()).length === 2, 'the event and the one behind it');
    await append(event('orders', '3', 4), event('orders', '4', 3));
    relay.wake();
    await eventually(() => ids(sent).at(-1) === 'orders-4-3', 'another key');
    const waiting = await eventually(async () => {
      const rows = await parked();
      return rows.length === 3 && rows;
    }, 'the later event of the key');
    assert.deepEqual(
      waiting.map(({ event_id: id, reason }) => [id, reason.replace(/^.*: /, '')]),
      [
        ['orders-3-2', 'MESSAGE_TOO_LARGE'],
        ['orders-3-3', 'it waits behind another message of its key'],
        ['orders-3-4', 'it waits behind another message of its key'],
      ],
    );
    await eventually(async () => (await parked())[0]!.attempts > 1, 'another attempt');
    assert.equal(sent.length, 22);
    await pool.query(`DELETE FROM millrace.outbox_parked WHERE event_id = 'orders-3-2'`);
    await eventually(() => sent.length === 24, 'those behind it');
    assert.deepEqual(ids(sent).slice(-2), ['orders-3-3', 'orders-3-4']);
  });

  it('of a topic that is forbidden hold up no others, and are published in order when it is allowed', async (t) => {
    const { start, append, parked } = await createOutbox(t);
    const { kafka, sent, failWith } = fakeKafka({ orders: 2, secret: 2 });
    failWith((topic) => (topic === 'secret' ? brokerError('TOPIC_AUTHORIZATION_FAILED') : undefined));
    const { relay } = start(kafka);
    await append(...Array.from({ length: 8 }, (_, n) => event(n % 2 ? 'secret' : 'orders', String(n % 4), n)));
    relay.wake();
    await eventually(() => sent.length === 4, 'the others');
    await eventually(async () => (await parked()).length === 4, 'those of the topic are parked');
    failWith(undefined);
    await append(event('secret', '1', 9));
    relay.wake();
    await eventually(() => sent.length === 9, 'all');
    const ofKey = sent.filter(({ topic, message }) => topic === 'secret' && message.key === '1');
    assert.deepEqual(ids(ofKey), ['secret-1-1', 'secret-1-5', 'secret-1-9']);
  });

  it('are published in pages, also those of record batches and by another relay', async (t) => {
    const { start, append, parked } = await createOutbox(t);
    const topics: Record<string, number> = {};
    const { kafka, sent } = fakeKafka(topics);
    const builder = new RecordBatchBuilder({ topic: 'later', type: 'metric.updated', source: '/analytics' });
    const keys = 7;
    const count = 1_800;
    for (let n = 0; n < count; n++)
      builder.add({ key: `k${n % keys}`, eventId: String(n), data: JSON.stringify({ n }) });
    await append(...builder.finish(), ...Array.from({ length: 600 }, (_, n) => event('later', `s${n % keys}`, n)));
    const { relay: first } = start(kafka);
    await eventually(async () => (await parked()).length === count + 600, 'all are parked');
    await first.stop();
    topics['later'] = 4;
    start(kafka);
    const numberIn = ({ message }: (typeof sent)[number]) => (JSON.parse(String(message.value)) as { n: number }).n;
    // a relay that takes over before the cursors have followed sends some again: the first copies count
    const firstCopies = () => [
      ...new Map(sent.toReversed().map((one) => [`${one.message.key}/${numberIn(one)}`, one])).values(),
    ];
    await eventually(() => firstCopies().length === count + 600, 'all are published');
    const byKey = Map.groupBy(sent, ({ message }) => message.key);
    for (const messages of byKey.values()) {
      const order = [...new Set(messages.map(numberIn))];
      assert.deepEqual(
        order,
        order.toSorted((x, y) => x - y),
      );
    }
    assert.equal(byKey.size, 2 * keys);
    await eventually(async () => (await parked()).length === 0, 'none is parked');
  });

  it('of a real Kafka: a missing topic that is created, and a message that is too large', async (t) => {
    const { start, append, parked } = await createOutbox(t);
    const { kafka, high } = realKafka(t);
    const topic = await uniqueTopic('parking', 1);
    const missing = `missing-${randomUUID()}`;
    const { relay } = start(kafka);
    await append(
      event(missing, '1', 1),
      event(topic, '1', 1),
      event(topic, '2', 1, 5 * 1024 * 1024),
      event(topic, '2', 2),
      event(topic, '3', 1),
    );
    relay.wake();
    await eventually(async () => (await high(topic)) === 2n, 'the neighbours');
    await eventually(async () => (await parked()).length === 3, 'the others are parked');
    await kafka.admin.ensureTopics([{ name: missing, partitions: 1, retentionMs: -1 }]);
    await eventually(async () => (await high(missing)) === 1n, 'the event of the topic that has appeared');
    const left = await eventually(async () => {
      const rows = await parked();
      return rows.length === 2 && rows;
    }, 'it is no longer parked');
    assert.deepEqual(
      left.map(({ event_id: id }) => id),
      [`${topic}-2-1`, `${topic}-2-2`],
    );
  });

  it('of a real Kafka: records whose keys PostgreSQL does not take as text, which are sent as they are', async (t) => {
    const { start, append, parked, pastCursor } = await createOutbox(t);
    const { kafka, high, read } = realKafka(t);
    const topic = await uniqueTopic('parking', 1);
    const missing = `missing-${randomUUID()}`;
    const keys = ['a\0b', '\0', 'ff00fe'].map((key, i) => Buffer.from(key, i < 2 ? 'utf8' : 'hex'));
    const records = (n: number) =>
      keys.map((key, i) => {
        const { data: _, ...rest } = event(missing, `raw-${i}`, n);
        return rawRecordEvent(rest, { key, value: Buffer.from(String(n)), headers: [] });
      });
    const { relay } = start(kafka);
    await append(...records(1), event(topic, '1', 1), event(topic, '2', 1));
    relay.wake();
    await eventually(async () => (await parked()).length === keys.length, 'the records are parked');
    await append(...records(2), event(topic, '1', 2));
    relay.wake();
    await eventually(async () => (await parked()).length === 2 * keys.length, 'those behind them, too');
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
    assert.equal(await high(topic), 3n, 'the neighbours are sent once');
    await kafka.admin.ensureTopics([{ name: missing, partitions: 1, retentionMs: -1 }]);
    await eventually(async () => (await parked()).length === 0, 'they are published');
    const found = read(missing);
    await eventually(() => found.length === 2 * keys.length, 'they are read');
    for (const key of keys)
      assert.deepEqual(
        found.filter((one) => one.key.equals(key)).map(({ value }) => value),
        ['1', '2'],
      );
  });

  it('of a real Kafka: rows of which no message can be made, and which hold up no others', async (t) => {
    const { pool, start, append, parked, pastCursor } = await createOutbox(t);
    const { kafka, read } = realKafka(t);
    const topic = await uniqueTopic('parking', 1);
    const packs = { 'content-type': recordBatchType };
    const recordOf = (n: number) =>
      rawRecordEvent(event(topic, 'pack', n), { key: Buffer.from('p'), value: Buffer.from(String(n)), headers: [] });
    // a body of six bytes that announces a longer key
    const malformed = Buffer.from('00000006feffffffff0f', 'hex');
    const mixed = Buffer.concat([recordOf(1).data as Buffer, malformed, recordOf(2).data as Buffer]);
    const { relay } = start(kafka);
    await transaction(pool, async (tx) => {
      const infinite = [event(topic, '1', 1), event(topic, '2', 1)];
      await appendToOutbox(tx, infinite);
      for (const [i, time] of ['infinity', '280000-01-01'].entries())
        await tx.query('UPDATE millrace.outbox SET created_at = $2 WHERE event_id = $1', [infinite[i]!.eventId, time]);
      await appendToOutbox(tx, [
        { ...event(topic, '3', 1), headers: { n: 1 } as unknown as Record<string, string> },
        { ...event(topic, 'pack', 1), headers: packs, data: Buffer.from('0000ffff00', 'hex') },
        { ...event(topic, 'pack', 2), headers: packs, data: Buffer.alloc(0) },
        { ...event(topic, 'pack', 3), headers: packs, data: mixed },
        recordOf(4),
        event('', '1', 1),
        event(topic, '4', 1),
        event(topic, '1', 2),
        event(topic, '5', 1),
      ]);
    });
    relay.wake();
    const found = read(topic);
    const valuesOf = (key: string) => found.filter((one) => String(one.key) === key).map(({ value }) => value);
    await eventually(() => found.length >= 5, 'the others are published');
    await eventually(async () => (await parked()).length === 8, 'these are parked');
    assert.deepEqual(
      new Map((await parked()).map(({ event_id: id, reason }) => [id, reason])),
      new Map([
        [`${topic}-1-1`, 'no message can be made of the row: its created_at is no time of an event'],
        [`${topic}-2-1`, 'no message can be made of the row: its created_at is no time of an event'],
        [`${topic}-3-1`, 'no message can be made of the row: its header n is no text'],
        [`${topic}-pack-1`, 'the record batch is truncated'],
        [`${topic}-pack-2`, 'the record batch is empty'],
        [`${topic}-pack-3`, 'a record of the batch is malformed'],
        ['-1-1', 'no topic has this name'],
        [`${topic}-1-2`, 'it waits behind another message of its key'],
      ]),
    );
    await append(event(topic, '1', 3), event(topic, '4', 2));
    relay.wake();
    await eventually(() => valuesOf('4').length === 2, 'a later event');
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
    assert.equal((await parked()).length, 9);
    await pool.query(`UPDATE millrace.outbox_parked SET created_at = now() WHERE key = '1' AND topic <> ''`);
    await eventually(() => valuesOf('1').length === 3, 'those of the key whose first event is corrected');
    assert.deepEqual(
      valuesOf('1').map((value) => (JSON.parse(value) as { n: number }).n),
      [1, 2, 3],
    );
    assert.deepEqual(valuesOf('p'), ['1', '2', '4']);
    assert.equal(found.length, 9, 'nothing is sent twice');
    await eventually(async () => (await parked()).length === 6, 'the others stay parked');
  });

  it('of a partition that fails while others take messages hold up no others, and are published in order when it takes them', async (t) => {
    const { start, append, parked, pastCursor } = await createOutbox(t);
    const { kafka, sent, failWith } = fakeKafka({ alerts: 2, orders: 1 });
    failWith((topic, partition) =>
      topic === 'alerts' && partition === 0 ? brokerError('NOT_ENOUGH_REPLICAS') : undefined,
    );
    const producer = await kafka.producer();
    const keys = ['1', '2', '3', '4', '5', '6'];
    const places = await Promise.all(keys.map((key) => producer.partitionFor('alerts', key)));
    const bad = keys.filter((_, i) => places[i] === 0);
    const { relay, reasonOf } = start(kafka);
    let n = 0;
    const appendAll = async () => {
      n += 1;
      await append(event('orders', '1', n), ...keys.map((key) => event('alerts', key, n)));
      relay.wake();
      const published = () => sent.filter(({ message }) => message.headers['ce_id']!.endsWith(`-${n}`)).length;
      await eventually(() => published() >= 1 + keys.length - bad.length, 'the others are published');
    };
    await eventually(async () => {
      await appendAll();
      return (await parked()).length > 0;
    }, 'its events are parked');
    await appendAll();
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
    assert.equal((await parked()).length, bad.length * n);
    await eventually(async () => {
      return /^\d+ events of alerts since \S+Z: .*NOT_ENOUGH_REPLICAS, while other partitions take messages$/.test(
        (await reasonOf()) ?? '',
      );
    }, 'the health names the reason');
    failWith(undefined);
    await append(...bad.map((key) => event('alerts', key, n + 1)));
    relay.wake();
    await eventually(async () => (await parked()).length === 0, 'none is parked');
    const sentOf = (key: string) => ids(sent.filter(({ topic, message }) => topic === 'alerts' && message.key === key));
    await eventually(() => bad.every((key) => sentOf(key).length > n), 'the last ones are published, too');
    for (const key of bad)
      assert.deepEqual(
        sentOf(key),
        Array.from({ length: n + 1 }, (_, i) => `alerts-${key}-${i + 1}`),
      );
  });
});

// not beside others: it measures time
describe('events of the outbox that cannot be parked', () => {
  it('because PostgreSQL refuses them, too, stay in the outbox with those of their keys, and the others are sent once', async (t) => {
    const { pool, start, append, parked, pastCursor } = await createOutbox(t);
    const { kafka, sent } = fakeKafka({ orders: 1 });
    const { relay, reasonOf } = start(kafka);
    const unheard = randomBytes(4_000).toString('hex'); // too long for an index
    await append(event(unheard, '1', 1), event('orders', '1', 1), event('away', '1', 1), event(unheard, '1', 2));
    relay.wake();
    await eventually(async () => (await parked()).length === 1, 'the event that can be parked');
    await eventually(async () => {
      return /the outbox is not published: index row/.test((await reasonOf()) ?? '');
    }, 'the health says so');
    for (const n of [2, 3]) {
      await append(event('orders', '1', n));
      relay.wake();
      await eventually(() => sent.length === n, 'a later event of another topic');
    }
    assert.deepEqual(
      ids(sent),
      [1, 2, 3].map((n) => `orders-1-${n}`),
    );
    assert.equal((await parked()).length, 1);
    const since = performance.now();
    for (let n = 4; n <= 23; n += 1) {
      await append(event('orders', '1', n));
      relay.wake();
      await eventually(() => sent.length === n, 'an event while one cannot be parked');
    }
    const forMs = performance.now() - since;
    assert.ok(forMs < 15_000, `20 events take ${forMs} ms`);
    await pool.query(`DELETE FROM millrace.outbox WHERE topic = $1`, [unheard]);
    await eventually(async () => (await pastCursor()) === 0, 'the cursors have passed all');
  });

  it('because PostgreSQL refuses them, too, are tried again after a pause, however many others are published', async (t) => {
    const { pool, start, append, parked } = await createOutbox(t);
    const { kafka, sent, failWith } = fakeKafka({ orders: 1 });
    let attempts = 0;
    failWith((_topic, _partition, messages) => {
      if (messages.every(({ value }) => value.length <= 5_000)) return undefined;
      attempts += 1;
      return brokerError('MESSAGE_TOO_LARGE');
    });
    await pool.query(
      `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
       CREATE TRIGGER refuse BEFORE INSERT ON millrace.outbox_parked FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    const { relay, reasonOf } = start(kafka);
    await append(event('orders', '1', 1, 10_000), event('orders', '1', 2));
    relay.wake();
    await eventually(() => attempts > 0, 'it is tried');
    const since = performance.now();
    const before = attempts;
    for (let n = 1; n <= 50; n += 1) {
      await append(event('orders', '2', n));
      relay.wake();
      await eventually(() => sent.length === n, 'another one');
    }
    const seconds = (performance.now() - since) / 1_000;
    assert.ok(attempts - before <= 3 * (1 + seconds / 2), `${attempts - before} attempts in ${seconds} s`);
    await pool.query('DROP TRIGGER refuse ON millrace.outbox_parked');
    await eventually(async () => (await parked()).length === 2, 'they are parked at last');
    failWith(undefined);
    await eventually(() => sent.length === 52, 'and published');
    assert.deepEqual(ids(sent).slice(-2), ['orders-1-1', 'orders-1-2']);
    await eventually(async () => (await reasonOf()) === undefined, 'it is well again');
  });
});
