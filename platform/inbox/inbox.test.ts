import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createDecoder, encodeHeaders, readJson } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka, OutgoingMessage, Producer } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { startProxy } from '#test/proxy.ts';
import { createLogger } from '#platform/telemetry';
import { createPool } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import { Inbox } from './inbox.ts';
import type { InboxOptions } from './inbox.ts';
import { DeadLetterReplay } from './replay.ts';

const log = createLogger('inbox-test', 'silent');
const partitions = 4;

function message(n: number, key = String(n)): OutgoingMessage {
  const time = new Date();
  const headers = encodeHeaders({ id: `event-${n}`, type: 'test.happened', source: '/test', subject: key, time });
  return { key, value: Buffer.from(JSON.stringify({ n })), headers };
}

const numberOf = (event: ReceivedEvent) => (event.data as { n: number }).n;

describe('Inbox', () => {
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
      decode: createDecoder(readJson),
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
  const isReady = async (health: Health) => (await health.report()).status === 'UP';

  it('has stopped only when it asks for nothing any more', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const slow: Kafka = {
      ...kafka,
      admin: {
        ...kafka.admin,
        async watermarks(name) {
          asked.resolve();
          await answer.promise;
          return kafka.admin.watermarks(name);
        },
      },
    };
    const { inbox } = start({ kafka: slow });
    await asked.promise;
    let isStopped = false;
    const stopping = inbox.stop().then(() => (isStopped = true));
    let taken = 0;
    const other = kafka.consumer({
      group,
      topics: [topic],
      from: 'earliest',
      onAssigned: (assigned) => (taken = assigned.length),
      onBatch: () => Promise.resolve(true),
    });
    other.start();
    await eventually(() => taken === partitions, 'another member has its partitions');
    await other.stop();
    assert.equal(isStopped, false);
    answer.resolve();
    await stopping;
  });

  it('takes no partitions any more that the group gives it while it stops', async () => {
    let giveAgain = () => {};
    let asked = 0;
    const reshuffled: Kafka = {
      ...kafka,
      consumer(options) {
        const { onAssigned } = options;
        giveAgain = () => onAssigned!([{ topic, partition: 0 }]);
        return kafka.consumer({ ...options, onAssigned: (assigned) => onAssigned!(assigned) });
      },
      admin: {
        ...kafka.admin,
        watermarks(name) {
          asked += 1;
          return kafka.admin.watermarks(name);
        },
      },
    };
    const inTransaction = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const { inbox } = start({
      kafka: reshuffled,
      async handle() {
        inTransaction.resolve();
        await finish.promise;
      },
    });
    await sendRange(0, 1);
    await inTransaction.promise;
    const askedBefore = asked;
    const stopping = inbox.stop();
    giveAgain(); // while the transaction in flight is waited for
    finish.resolve();
    await stopping;
    assert.equal(asked, askedBefore);
  });

  it('leaves nothing behind when it stops, be it while the group is reshuffled', async () => {
    await sendRange(0, 100);
    await assertStopsCompletely(
      kafka,
      (own) =>
        new Inbox({
          group,
          topics: [topic],
          pool: database.pool,
          kafka: own,
          log,
          health: new Health(),
          decode: createDecoder(readJson),
          handle: insert,
        }),
    );
  });

  it('processes what was sent before it started and after, with the offsets beside the effects', async () => {
    await sendRange(0, 100);
    const { health } = start();
    await reach(100);
    await sendRange(100, 200);
    await reach(200);
    await assertOnceInOrder(200);
    const { rows } = await database.pool.query<{ sum: string }>(
      'SELECT sum(next_offset) FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [group],
    );
    assert.equal(rows[0]!.sum, '200');
    assert.ok(await isReady(health));
    const hinted = async () => (await kafka.admin.committed(group, [topic])).reduce((sum, at) => sum + at.offset, 0n);
    await eventually(async () => (await hinted()) === 200n, 'Kafka knows the offsets');
  });

  it('is exactly once while members come and go in mid-stream', async () => {
    const slowly = (member: string) => async (tx: PoolClient, events: ReceivedEvent[]) => {
      await insert(tx, events, member);
      await tx.query('SELECT pg_sleep(0.02)');
    };
    const works = (member: string) =>
      eventually(async () => (await effects()).some((row) => row.member === member), `${member} works`, 30_000);
    let total = 0;
    const flow = new AbortController();
    const sending = (async () => {
      while (!flow.signal.aborted) {
        await sendRange(total, total + 50);
        total += 50;
        await eventually(async () => (await effects()).length > total - 500, 'the consumers keep up', 30_000);
      }
    })();
    const options = { maxBatch: 50 };
    const first = start({ ...options, handle: slowly('a') });
    await works('a');
    start({ ...options, handle: slowly('b') });
    await works('b');
    await first.inbox.stop();
    start({ ...options, handle: slowly('c') });
    await works('c');
    flow.abort();
    await sending;
    await reach(total);
    await assertOnceInOrder(total);
  });

  it('leaves no double effects where two consumers that do not know of each other have the same partitions', async () => {
    const total = 1_000;
    const one = { ...kafka, consumer: (options: Parameters<Kafka['consumer']>[0]) => kafka.consumer(options) };
    // another Kafka group name, but the same rows: as a member that has lost its partitions without noticing
    const other: Kafka = {
      ...kafka,
      consumer: (options) => kafka.consumer({ ...options, group: `${options.group}-zombie` }),
    };
    start({ kafka: one, maxBatch: 20, handle: (tx, events) => insert(tx, events, 'owner') });
    start({ kafka: other, maxBatch: 20, handle: (tx, events) => insert(tx, events, 'zombie') });
    for (let n = 0; n < total; n += 50) await sendRange(n, n + 50);
    await reach(total);
    await assertOnceInOrder(total);
  });

  it('gives up a message that fails again and again, with the reason and where it came from, and goes on', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
    const poison = message(7);
    poison.headers['traceparent'] = traceparent;
    await send([...Array.from({ length: 7 }, (_, n) => message(n)), poison, message(8), message(9)]);
    start({
      async handle(tx, events) {
        await insert(tx, events);
        if (events.some((event) => numberOf(event) === 7)) throw new RangeError('seven is too many');
      },
    });
    await reach(9);
    const { rows: dead } = await eventually(async () => {
      const found = await database.pool.query('SELECT * FROM millrace.dead_letters');
      return found.rows.length > 0 && found;
    }, 'the dead letter');
    assert.deepEqual((await effects()).map((row) => row.n).toSorted(), [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert.equal(dead.length, 1);
    const letter = dead[0]! as Record<string, unknown>;
    assert.equal(letter['reason'], 'RangeError: seven is too many');
    assert.equal(letter['attempts'], 5);
    assert.equal(String(letter['value']), '{"n":7}');
    const { rows: outbox } = await database.pool.query('SELECT * FROM millrace.outbox');
    const row = outbox[0]! as { headers: Record<string, string> } & Record<string, unknown>;
    assert.deepEqual(
      [row['topic'], row['key'], row['event_id'], row['type'], String(row['data']), row['traceparent']],
      [`${group}.dead-letters`, '7', 'event-7', 'test.happened', '{"n":7}', traceparent],
    );
    const { dlq_group, dlq_topic, dlq_partition, dlq_offset, dlq_reason, dlq_attempts, ce_id, ce_time } = row.headers;
    assert.deepEqual(
      { dlq_group, dlq_topic, dlq_partition, dlq_offset, dlq_reason, dlq_attempts, ce_id, ce_time },
      {
        dlq_group: group,
        dlq_topic: topic,
        dlq_partition: String(letter['partition']),
        dlq_offset: String(letter['offset']),
        dlq_reason: 'RangeError: seven is too many',
        dlq_attempts: '5',
        ce_id: 'event-7',
        ce_time: poison.headers['ce_time'],
      },
    );
  });

  it('gives up what is no event at once', async () => {
    const broken = { ...message(1), value: Buffer.from('{') };
    const bare = { key: 'a\0b', value: Buffer.from('{}'), headers: {} };
    await send([broken, bare, message(0)]);
    start();
    await reach(1);
    const { rows } = await eventually(async () => {
      const found = await database.pool.query<{ reason: string; attempts: number; key: string }>(
        'SELECT reason, attempts, key FROM millrace.dead_letters ORDER BY key',
      );
      return found.rows.length === 2 && found;
    }, 'two dead letters');
    assert.match(rows[0]!.reason, /not JSON/);
    assert.match(rows[1]!.reason, /required/);
    assert.deepEqual(
      rows.map((row) => [row.key, row.attempts]),
      [
        ['1', 1],
        ['a\uFFFDb', 1],
      ],
    );
  });

  it('replays nothing any more when it has stopped', () =>
    assertStopsCompletely(
      kafka,
      () => new DeadLetterReplay({ group, pool: database.pool, log, decode: createDecoder(readJson), handle: insert }),
    ));

  it('replays a dead letter that is asked for through the same handler, and writes down how it went', async () => {
    let isMended = false;
    await send([message(0), message(1)]);
    start({
      async handle(tx, events) {
        await insert(tx, events);
        if (!isMended) throw new Error('not yet');
      },
    });
    const letters = async () => {
      const { rows } = await database.pool.query<{ replayed_at: Date | null; replay_error: string | null }>(
        'SELECT replayed_at, replay_error FROM millrace.dead_letters ORDER BY key',
      );
      return rows;
    };
    await eventually(async () => (await letters()).length === 2, 'two dead letters', 30_000);
    await database.pool.query(`UPDATE millrace.dead_letters SET replay_requested_at = now() WHERE key = '0'`);
    await eventually(async () => (await letters())[0]!.replay_error === 'Error: not yet', 'the outcome');
    assert.deepEqual(await effects(), [], 'its effects are undone');
    isMended = true;
    await database.pool.query(`UPDATE millrace.dead_letters SET replay_error = NULL WHERE key = '0'`);
    await eventually(async () => (await letters())[0]!.replayed_at, 'the outcome');
    assert.deepEqual(await letters().then((rows) => [rows[0]!.replay_error, rows[1]]), [
      null,
      { replayed_at: null, replay_error: null },
    ]);
    assert.deepEqual(
      (await effects()).map((row) => row.n),
      [0],
      'the other one was not asked for',
    );
  });

  it('waits for a database that is away, without fetching more, and goes on when it is back', async (t) => {
    const url = new URL(database.url);
    const proxy = await startProxy(url.hostname, Number(url.port));
    url.port = String(proxy.port);
    const pool = createPool({ name: 'inbox-test', url: url.href, max: 4, log });
    pool.on('connect', (client) => client.on('error', () => undefined));
    t.after(async () => {
      await Promise.all(inboxes.map((inbox) => inbox.stop()));
      await pool.end();
      await proxy.cut();
    });
    let handled = 0;
    const { health } = start({
      pool,
      async handle(tx, events) {
        handled += events.length;
        await insert(tx, events);
      },
    });
    await sendRange(0, 50);
    await reach(50);
    await proxy.cut();
    await sendRange(50, 100);
    await eventually(async () => !(await isReady(health)), 'it says that it is not ready');
    assert.equal((await health.liveness()).status, 'UP');
    for (let n = 100; n < 1_000; n += 100) await sendRange(n, n + 100);
    assert.ok(handled <= 100, `nothing was fetched beyond the batch in hand: ${handled}`);
    await proxy.restore();
    await reach(1_000);
    await assertOnceInOrder(1_000);
    await eventually(() => isReady(health), 'it is ready again');
    const { rows } = await database.pool.query('SELECT FROM millrace.dead_letters');
    assert.equal(rows.length, 0);
  });

  it('holds no more than a fetch while the database is slow', async () => {
    const count = 1_500;
    const text = 'x'.repeat(20_000); // 30 MB in all
    for (let n = 0; n < count; n += 100) {
      await send(
        Array.from({ length: 100 }, (_, i) => ({
          ...message(n + i),
          value: Buffer.from(JSON.stringify({ n: n + i, text })),
        })),
      );
    }
    const held = { bytes: 0, most: 0 };
    const consumer: Kafka['consumer'] = (options) =>
      kafka.consumer({
        ...options,
        async onBatch(batch) {
          const bytes = batch.messages.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
          held.bytes += bytes;
          held.most = Math.max(held.most, held.bytes);
          const done = await options.onBatch(batch);
          held.bytes -= bytes;
          return done;
        },
      });
    let mostEvents = 0;
    start({
      kafka: { ...kafka, consumer },
      maxBatch: 100,
      async handle(tx, events) {
        mostEvents = Math.max(mostEvents, events.length);
        await tx.query('SELECT pg_sleep(0.02)');
        await insert(tx, events);
      },
    });
    await reach(count);
    assert.ok(mostEvents <= 100, `${mostEvents} events in a transaction`);
    assert.ok(held.most <= 2.5 * 1024 * 1024, `${held.most} bytes in hand`);
  });

  it('begins with the first event in a new database, whatever Kafka remembers of the group', async () => {
    await sendRange(0, 50);
    const first = start();
    await reach(50);
    await first.inbox.stop();
    await database.pool.query('TRUNCATE effects, millrace.inbox_offsets');
    start();
    await reach(50);
    await assertOnceInOrder(50);
  });

  it('refuses a partition that ends before the stored offset, says so, and reads it once the row is deleted', async () => {
    await sendRange(0, 50);
    await database.pool.query(
      `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, 0, 9999)`,
      [group, topic],
    );
    const { health } = start();
    const error = await eventually(async () => {
      const { checks } = await health.report();
      return Object.values(checks).find(({ reason }) => reason?.includes('ends at'))?.reason;
    }, 'a reason');
    assert.match(error, /\/0 ends at \d+, but .* has read up to 9999: the topic was recreated or truncated/);
    await database.pool.query('DELETE FROM millrace.inbox_offsets WHERE next_offset = 9999');
    await reach(50);
    await assertOnceInOrder(50);
    assert.ok(await isReady(health));
  });
});
