import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createDecoder, encodeHeaders, readJson } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import type { PoolClient } from '#platform/postgres';
import type { Accumulator } from './accumulation.ts';
import { Inbox } from './inbox.ts';

const log = createLogger('accumulating-writer-test', 'silent');
const partitions = 3;

const numberOf = (event: ReceivedEvent) => (event.data as { n: number }).n;

async function insert(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
  await tx.query('INSERT INTO effects (n, place) SELECT * FROM unnest($1::int[], $2::text[])', [
    events.map(numberOf),
    events.map(({ partition, offset }) => `${partition}/${offset}`),
  ]);
}

/** Collects events, and writes them all at once unless `failureOf` returns an error. */
function accumulatorOf(failureOf: (events: readonly ReceivedEvent[]) => Error | undefined): Accumulator {
  return {
    prepare: () => Promise.resolve(),
    reset: () => undefined,
    begin() {
      const collected: ReceivedEvent[] = [];
      return {
        add: ({ events }) => void collected.push(...events),
        async write(tx) {
          await insert(tx, collected);
          const error = failureOf(collected);
          if (error) throw error;
        },
      };
    },
  };
}

describe('an inbox that collects effects', () => {
  let kafka: Kafka;
  let producer: Producer;
  let database: TestDatabase;
  let topic: string;
  let inboxes: Inbox[];

  before(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'accumulating-writer-test', log });
    producer = await kafka.producer();
  });
  after(() => kafka.close());
  beforeEach(async () => {
    database = await createTestDatabase();
    await database.pool.query(
      'CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, place text NOT NULL)',
    );
    topic = await uniqueTopic('accumulating', partitions);
    inboxes = [];
  });
  afterEach(async () => {
    await Promise.all(inboxes.map((inbox) => inbox.stop()));
    await database.drop();
  });

  async function send(from: number, to: number): Promise<void> {
    const numbers = Array.from({ length: to - from }, (_, i) => from + i);
    const byPartition = Map.groupBy(numbers, (n) => n % partitions);
    for (const [partition, own] of byPartition) {
      const messages = own.map((n) => ({
        key: String(n),
        value: Buffer.from(JSON.stringify({ n })),
        headers: encodeHeaders({ id: `e-${n}`, type: 'test.happened', source: '/t', subject: '', time: new Date() }),
      }));
      await producer.send(topic, partition, messages);
    }
  }

  function start(accumulator: Accumulator, handle = insert): Inbox {
    const health = new Health();
    const options = { group: `group-${topic}`, topics: [topic], pool: database.pool, kafka, log, health };
    const inbox = new Inbox({ ...options, decode: createDecoder(readJson), handle, accumulator, maxBatch: 7 });
    inboxes.push(inbox);
    inbox.start();
    return inbox;
  }

  const effects = async () =>
    (await database.pool.query<{ n: number; place: string }>('SELECT n, place FROM effects ORDER BY id')).rows;

  async function assertOnceInOrder(expected: readonly number[]): Promise<void> {
    const rows = await effects();
    assert.deepEqual(
      rows.map(({ n }) => n).toSorted((a, b) => a - b),
      expected,
    );
    for (const own of Map.groupBy(rows, ({ n }) => n % partitions).values()) {
      assert.deepEqual(
        own.map(({ n }) => n),
        own.map(({ n }) => n).toSorted((a, b) => a - b),
      );
    }
  }
  const range = (to: number) => Array.from({ length: to }, (_, n) => n);

  it('applies each event once and in order, however often a transaction is lost', async () => {
    let writes = 0;
    const error = (code: string) => Object.assign(new Error('injected'), { code });
    start(
      accumulatorOf(() => {
        writes += 1;
        if (writes % 3 === 0) return error('22000'); // bad data: all of it is read again
        return writes % 4 === 1 ? error('08006') : undefined; // passes: the same is written again
      }),
    );
    for (let n = 100; n <= 1_500; n += 100) {
      await send(n - 100, n);
      await eventually(async () => (await effects()).length >= n, `${n} effects`, 30_000);
    }
    await assertOnceInOrder(range(1_500));
    assert.ok(writes > 15, `${writes} attempts`);
  });

  it('finds the message that a transaction cannot be written with, and gives up that one alone', async () => {
    const refuse = (events: readonly ReceivedEvent[]) =>
      events.some((event) => numberOf(event) === 250) ? new Error('no 250') : undefined;
    await send(0, 600);
    start(accumulatorOf(refuse), async (tx, events) => {
      await insert(tx, events);
      const error = refuse(events);
      if (error) throw error;
    });
    await eventually(async () => (await effects()).length >= 599, '599 effects', 30_000);
    await assertOnceInOrder(range(600).filter((n) => n !== 250));
    const { rows } = await database.pool.query('SELECT key, reason, attempts FROM millrace.dead_letters');
    assert.deepEqual(rows, [{ key: '250', reason: 'Error: no 250', attempts: 5 }]);
  });

  it('is as exact while members come and go', async () => {
    const accumulator = () => accumulatorOf(() => undefined);
    const first = start(accumulator());
    await send(0, 1_000);
    start(accumulator());
    await send(1_000, 2_000);
    await first.stop();
    await send(2_000, 3_000);
    await eventually(async () => (await effects()).length >= 3_000, '3,000 effects', 30_000);
    await assertOnceInOrder(range(3_000));
  });
});
