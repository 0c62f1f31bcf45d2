import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { copyDatabase, createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { transaction } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { findInOutbox } from './lost-events.ts';
import { OutboxRelay } from './relay.ts';
import { republish } from './republish.ts';
import { settleEnds } from './topic-ends.ts';
import { appendToOutbox } from './write.ts';

const log = createLogger('ends-test', 'silent');

const append = (database: TestDatabase, topic: string, ...numbers: number[]) =>
  transaction(database.pool, (tx) =>
    appendToOutbox(
      tx,
      numbers.map((n) => ({
        topic,
        key: String(n),
        eventId: `order-${n}-1`,
        type: 'order.created',
        source: '/orders',
        data: '{}',
      })),
    ),
  );

const reasonOf = async (health: Health): Promise<string | undefined> =>
  (await health.report()).checks['outbox test']!.reason;

/** Runs a relay until the work is done. */
async function withRelay(
  { database, kafka, own }: { database: TestDatabase; kafka: Kafka; own?: string },
  work: (relay: { health: Health; relay: OutboxRelay }) => Promise<unknown>,
): Promise<void> {
  const health = new Health();
  const options = own === undefined ? {} : { own: { topic: own, find: findInOutbox } };
  const relay = new OutboxRelay({ name: 'test', pool: database.pool, kafka, log, health, ...options });
  relay.start();
  try {
    await work({ health, relay });
  } finally {
    await relay.stop();
  }
}

describe('a database that was put back to an earlier time', () => {
  let kafka: Kafka;
  let topic: string;
  let databases: TestDatabase[];
  beforeEach(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'ends-test', log });
    topic = await uniqueTopic('ends', 2);
    databases = [await createTestDatabase()];
  });
  afterEach(async () => {
    await kafka.close();
    await Promise.all(databases.map((database) => database.drop()));
  });

  const inTopic = async () => {
    const marks = await kafka.admin.watermarks(topic);
    return [...marks.values()].reduce((sum, { high }) => sum + Number(high), 0);
  };
  // a relay whose cursor waits for a transaction of another test sends events again
  const sent = (count: number) => eventually(async () => (await inTopic()) >= count, `${count} events`, 20_000);
  const publish = async (database: TestDatabase, ...numbers: number[]) => {
    const before = await inTopic();
    await append(database, topic, ...numbers);
    await withRelay({ database, kafka, own: topic }, () => sent(before + numbers.length));
  };
  const isBehind = ({ health }: { health: Health }) =>
    eventually(
      async () => /was put back to an earlier time/.test((await reasonOf(health)) ?? ''),
      'it says so',
      20_000,
    );

  it('publishes nothing, and takes no commands, until it has what it has lost', async () => {
    const [database] = databases as [TestDatabase];
    await publish(database, 1, 2, 3);
    const earlier = await copyDatabase(database);
    databases.push(earlier);
    await publish(database, 4);
    await append(earlier, topic, 5);
    const before = await inTopic();
    await withRelay({ database: earlier, kafka, own: topic }, async (running) => {
      await isBehind(running);
      assert.match((await reasonOf(running.health))!, /order-4-1, which it has not.* npm run recover/);
      assert.throws(() => running.relay.assertNotBehind(), { code: 'ERR_OUTBOX_BEHIND' });
      assert.equal(await inTopic(), before);
      const marks = await kafka.admin.watermarks(topic);
      const session = await earlier.pool.connect();
      try {
        const ends = new Map([...marks].map(([partition, { high }]) => [partition, high]));
        await settleEnds(session, { topic, topicId: await kafka.admin.topicId(topic), ends });
      } finally {
        session.release();
      }
      await sent(before + 1);
      await eventually(async () => (await reasonOf(running.health)) === undefined, 'it is well again');
      running.relay.assertNotBehind();
    });
  });

  it('is noticed also where it is a new and empty one', async () => {
    await publish(databases[0]!, 1, 2, 3);
    const empty = await createTestDatabase();
    databases.push(empty);
    await withRelay({ database: empty, kafka, own: topic }, isBehind);
  });

  it('is not what a relay takes for it that was killed, or whose topic others write to', async () => {
    const [database] = databases as [TestDatabase];
    await publish(database, 1, 2, 3, 4);
    await database.pool.query('UPDATE millrace.outbox_ends SET next_offset = next_offset - 1 WHERE next_offset > 0');
    const producer = await kafka.producer();
    for (const headers of [{}, { ce_id: 'order-9-1', ce_source: '/orders' }, { 'outbox-id': 'no number' }])
      await producer.send(topic, 1, [{ key: '9', value: Buffer.from('{}'), headers }]);
    await producer.close();
    await publish(database, 5);
  });

  it('cannot be told from one of an earlier release, which has stored no ends', async () => {
    const [database] = databases as [TestDatabase];
    await publish(database, 1, 2);
    await database.pool.query('DELETE FROM millrace.outbox_ends; DELETE FROM millrace.outbox WHERE id = 2');
    await publish(database, 3);
  });
});

describe('findInOutbox', () => {
  it('says of events older than a day that they are there, whose rows may have been emptied', async () => {
    const { pool, drop } = await createTestDatabase();
    const session = await pool.connect();
    try {
      const { rows } = await session.query<{ now: number }>('SELECT extract(epoch FROM now())::float8 * 1000 AS now');
      const event = (row: string, hours: number) => ({
        row,
        id: `user-${row}-1`,
        time: Math.floor(rows[0]!.now) - hours * 3_600_000,
      });
      const [old, young] = [event('1', 25), event('2', 23)];
      assert.deepEqual(await findInOutbox(session, [old, young]), new Map([['1', old.time]]));
    } finally {
      session.release();
      await drop();
    }
  });
});

describe('a Kafka that was put back to an earlier time', () => {
  const topic = 'orders';
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  /** @param where of the table of ends */
  const stored = (where: string, what: string, count = 1) =>
    eventually(async () => {
      const { rows } = await database.pool.query(`SELECT FROM millrace.outbox_ends WHERE ${where}`);
      return rows.length === count;
    }, what);
  const isStored = () => stored('next_offset >= 3', 'the end is stored');
  const losses = (health: Health) =>
    eventually(async () => (await reasonOf(health)) ?? false, 'it says that events are lost');

  it('is noticed at the next send, and the events are published again on demand', async () => {
    const { kafka, sent, cut } = fakeKafka({ [topic]: 1 });
    await append(database, topic, 1, 2, 3);
    await withRelay({ database, kafka }, async ({ health }) => {
      await isStored();
      cut(topic, 0, 1);
      await append(database, topic, 4);
      assert.match(await losses(health), /lost acknowledged events of orders\/0 from offset 1\. .* npm run republish/);
      const before = sent.length;
      assert.ok(before >= 4, 'it goes on');
      await stored('lost_from = 1', 'the loss is stored');
      await republish(database.pool, 2);
      await eventually(() => sent.length >= before + 3, 'they are published again', 20_000);
      await eventually(async () => (await reasonOf(health)) === undefined, 'it is well again');
    });
  });

  it('is noticed by a relay that begins, before it sends', async () => {
    const { kafka, cut } = fakeKafka({ [topic]: 1 });
    await append(database, topic, 1, 2, 3);
    await withRelay({ database, kafka, own: topic }, isStored);
    cut(topic, 0, 2);
    await withRelay({ database, kafka, own: topic }, async ({ health }) => {
      assert.match(await losses(health), /orders\/0 from offset 2/);
    });
    await withRelay({ database, kafka, own: topic }, async ({ health }) => {
      assert.match(await losses(health), /orders\/0 from offset 2/, 'also the next one');
    });
  });

  it('is not what a topic is that was created again', async () => {
    const { kafka, sent, deleteTopic, createTopic } = fakeKafka({ [topic]: 2 });
    await append(database, topic, 1, 2, 3, 4, 5, 6);
    const partitions = () => new Set(sent.map(({ partition }) => partition)).size;
    await withRelay({ database, kafka }, async ({ health }) => {
      await eventually(() => partitions() === 2, 'it is sent');
      await stored('next_offset > 0', 'the ends are stored', 2);
      deleteTopic(topic);
      createTopic(topic, 2);
      await append(database, topic, 1);
      await eventually(() => sent.length > 0, 'it goes on');
      const { rows: before } = await database.pool.query<{ topic_id: string }>(
        'SELECT topic_id FROM millrace.outbox_ends',
      );
      await eventually(async () => {
        const { rows } = await database.pool.query('SELECT FROM millrace.outbox_ends WHERE topic_id <> $1', [
          before[0]!.topic_id,
        ]);
        return rows.length === 2;
      }, 'the ends of the new one are stored');
      await append(database, topic, 1, 2, 3, 4, 5, 6);
      await eventually(() => partitions() === 2, 'it goes on in the other partition');
      await stored('next_offset > 0', 'both ends are stored', 2);
      assert.equal(await reasonOf(health), undefined);
    });
  });
});
