import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { createDecoder, encodeHeaders, readJson } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import { deleteTopic } from '#platform/kafka/testing/administer.ts';
import type { Kafka, OutgoingMessage, Producer, TopicPartition } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import type { PoolClient } from '#platform/postgres';
import type { Accumulator } from './accumulation.ts';
import { writeDeadLetters } from './dead-letters.ts';
import { Inbox } from './inbox.ts';
import type { InboxOptions } from './inbox.ts';
import { toItem } from './item.ts';
import type { Item } from './item.ts';
import type { PartitionBatch } from './partition-batch.ts';
import { Writer } from './writer.ts';
import type { Handle, WriterOptions } from './writer.ts';

export const log = createLogger('inbox-test', 'silent');
export const partitions = 4;
export const decode = createDecoder(readJson);

export function message(n: number, key = String(n)): OutgoingMessage {
  const time = new Date();
  const headers = encodeHeaders({ id: `event-${n}`, type: 'test.happened', source: '/test', subject: key, time });
  return { key, value: Buffer.from(JSON.stringify({ n })), headers };
}

/** The item of such a message, which lies at a place of the log. */
export function itemAt(place: TopicPartition & { offset: bigint }, group: string, n: number, key = String(n)): Item {
  const { value, headers } = message(n, key);
  return toItem({ ...place, timestamp: 0, key, value, headers }, group, decode, false);
}

/** The batch of such items, one after the other. */
export function batchOf(items: Item[]): PartitionBatch {
  const { topic, partition, offset } = items[0]!.message;
  return { topic, partition, expected: offset, next: offset + BigInt(items.length), items };
}

/** A writer that keeps the order of keys; the test fails where a partition has to wait, unless it says what is to be done. */
export function writerOf(options: Pick<WriterOptions, 'group' | 'pool' | 'handle'> & Partial<WriterOptions>): Writer {
  return new Writer({
    log,
    deadLetterWriter: writeDeadLetters,
    keepsOrder: true,
    maxBatch: 100,
    lingerMs: 0,
    onCommitted: () => undefined,
    onRefused: () => assert.fail(),
    ...options,
  });
}

/** Collects events, and writes them all at once. */
export function accumulatorOf(write: Handle): Accumulator {
  return {
    prepare: () => Promise.resolve(),
    reset: () => undefined,
    begin() {
      const collected: ReceivedEvent[] = [];
      return {
        add: ({ events }) => void collected.push(...events),
        write: (tx) => write(tx, collected),
      };
    },
  };
}

export const numberOf = (event: ReceivedEvent) => (event.data as { n: number }).n;

/** A topic, a database and inboxes of them for each test of the suite that calls it. */
export function inboxStand() {
  let kafka: Kafka;
  let producer: Producer;
  let database: TestDatabase;
  let topic: string;
  let group: string;
  let inboxes: Inbox[];

  before(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'inbox-test', log });
    producer = await kafka.producer();
  });
  after(() => kafka.close());
  beforeEach(async () => {
    database = await createTestDatabase();
    await database.pool.query(`CREATE TABLE effects (
      id bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, key text NOT NULL, place text NOT NULL, member text NOT NULL)`);
    topic = await uniqueTopic('inbox', partitions);
    group = `group-${topic}`;
    inboxes = [];
  });
  afterEach(async () => {
    await Promise.all(inboxes.map((inbox) => inbox.stop()));
    await database.drop();
  });

  const send = async (messages: OutgoingMessage[]) => {
    const placed = await Promise.all(
      messages.map(async (one) => ({ one, partition: await producer.partitionFor(topic, one.key) })),
    );
    const byPartition = Map.groupBy(placed, ({ partition }) => partition);
    await Promise.all(
      [...byPartition].map(([partition, all]) =>
        producer.send(
          topic,
          partition,
          all.map(({ one }) => one),
        ),
      ),
    );
  };
  const sendRange = (from: number, to: number) =>
    send(Array.from({ length: to - from }, (_, i) => message(from + i, String((from + i) % 20))));
  const insert = async (tx: PoolClient, events: ReceivedEvent[], member = 'a') => {
    await tx.query(
      'INSERT INTO effects (n, key, place, member) SELECT *, $4 FROM unnest($1::int[], $2::text[], $3::text[])',
      [
        events.map(numberOf),
        events.map((event) => event.key),
        events.map((event) => `${event.partition}/${event.offset}`),
        member,
      ],
    );
  };
  const start = (options: Partial<InboxOptions> = {}) => {
    const health = new Health();
    const inbox = new Inbox({
      group,
      topics: [topic],
      pool: database.pool,
      kafka,
      log,
      health,
      decode,
      handle: insert,
      ...options,
    });
    inboxes.push(inbox);
    inbox.start();
    return { inbox, health };
  };
  const effects = async () => {
    const { rows } = await database.pool.query<{ n: number; key: string; place: string; member: string }>(
      'SELECT n, key, place, member FROM effects ORDER BY id',
    );
    return rows;
  };
  /** The sum of the stored offsets of the group. */
  const storedOffsets = async () => {
    const { rows } = await database.pool.query<{ sum: string | null }>(
      'SELECT sum(next_offset) FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [group],
    );
    return Number(rows[0]!.sum);
  };
  const reach = (count: number) =>
    eventually(async () => (await effects()).length >= count, `${count} effects`, 30_000);
  const assertOnceInOrder = async (count: number) => {
    const rows = await effects();
    const inLog = [...(await kafka.admin.watermarks(topic)).values()].reduce((sum, { high }) => sum + Number(high), 0);
    assert.equal(new Set(rows.map((row) => row.place)).size, rows.length, 'no message twice');
    assert.equal(rows.length, inLog, 'every message');
    assert.deepEqual(
      [...new Set(rows.map((row) => row.n))].toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i),
      'every event',
    );
    for (const ofKey of Map.groupBy(rows, (row) => row.key).values()) {
      const numbers = ofKey.map((row) => row.n);
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
        'in order',
      );
    }
  };
  /** Deletes the topic, creates it again and sends messages to it, once the producer knows it. */
  const recreate = async (messages: OutgoingMessage[]) => {
    await deleteTopic(topic);
    await kafka.admin.ensureTopics([{ name: topic, partitions, retentionMs: -1 }]);
    await eventually(
      () =>
        send(messages).then(
          () => true,
          () => false,
        ),
      'they are sent',
    );
  };
  const isReady = async (health: Health) => (await health.report()).status === 'UP';

  return {
    /** the same for all tests */
    get kafka() {
      return kafka;
    },
    get database() {
      return database;
    },
    get topic() {
      return topic;
    },
    get group() {
      return group;
    },
    /** those that the test has started */
    get inboxes() {
      return inboxes;
    },
    send,
    sendRange,
    insert,
    start,
    effects,
    storedOffsets,
    reach,
    assertOnceInOrder,
    recreate,
    isReady,
  };
}
