import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { testKafka } from '#test/kafka.ts';
import { eventually } from '#test/eventually.ts';
import type { PlatformError } from '#platform/errors';
import type { Watermarks } from '#platform/kafka';
import type { AssignedPartition } from './assignment.ts';
import { transaction } from '#platform/postgres';
import { metrics } from './metrics.ts';
import { ProgressProbe } from './progress-probe.ts';
import { inboxStand, log, message } from './testing.ts';

const stuckMs = 600;

/** Our encoder has no transactions: another process sends with an unpatched kafkajs. */
const script = `
  const { Kafka, logLevel } = require('kafkajs');
  const [brokers, topic, transactions] = process.argv.slice(1);
  const client = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });
  const producer = client.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 });
  (async () => {
    await producer.connect();
    for (const { message, end } of JSON.parse(transactions)) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ ...message, partition: 0 }] });
      await transaction[end]();
    }
    await producer.disconnect();
  })();`;

async function sendInTransactions(topic: string, transactions: readonly object[]): Promise<void> {
  const { brokers } = testKafka();
  await promisify(execFile)(process.execPath, [
    '--no-warnings',
    '-e',
    script,
    brokers,
    topic,
    JSON.stringify(transactions),
  ]);
}

describe('the progress of an Inbox', () => {
  const stand = inboxStand();
  const { send, sendRange, insert, start, reach, effects } = stand;

  const lag = async () => {
    const { values } = await metrics.lag.get();
    const own = values.filter(({ labels }) => labels.topic === stand.topic);
    return own.length === 0 ? undefined : own.reduce((sum, { value }) => sum + value, 0);
  };

  it('is missed by health, and the lag grows, while a handler does not answer', async () => {
    const finish = Promise.withResolvers<void>();
    const { health } = start({
      stuckMs,
      async handle(tx, events) {
        await finish.promise;
        await insert(tx, events);
      },
    });
    try {
      await eventually(() => stand.isReady(health), 'it is ready');
      await sendRange(0, 1);
      await eventually(async () => (await lag()) === 1, 'the lag is seen while nothing is committed');
      await sendRange(1, 5);
      await eventually(async () => (await lag()) === 5, 'the lag grows');
      const report = await eventually(async () => {
        const found = await health.report();
        return found.status === 'DOWN' && found;
      }, 'health says so');
      assert.match(JSON.stringify(report), new RegExp(`no progress: ${stand.topic}/\\d at 0 of \\d for \\d+ s`));
    } finally {
      finish.resolve(); // the inbox stops when its handler has ended
    }
    await reach(5);
    await eventually(() => stand.isReady(health), 'it is ready again');
    await eventually(async () => (await lag()) === 0, 'the lag is gone');
  });

  it('goes on where the offsets are moved back, also if no message follows', async () => {
    start({ stuckMs });
    await sendRange(0, 5);
    await reach(5);
    await transaction(stand.database.pool, async (tx) => {
      await tx.query('DELETE FROM effects');
      await tx.query('UPDATE millrace.inbox_offsets SET next_offset = 0 WHERE partition < 2');
      await tx.query('DELETE FROM millrace.inbox_offsets WHERE partition >= 2');
    });
    await reach(5);
    assert.deepEqual((await effects()).map(({ n }) => n).toSorted(), [0, 1, 2, 3, 4]);
  });

  it('is not missed while there is nothing but transaction markers and aborted messages to read', async () => {
    const inTransactions = (...ends: [n: number, end: 'commit' | 'abort'][]) =>
      sendInTransactions(
        stand.topic,
        ends.map(([n, end]) => ({ message: { ...message(n), value: JSON.stringify({ n }) }, end })),
      );
    const skipped = async () =>
      (await metrics.skipped.get()).values.filter(({ labels }) => labels.topic === stand.topic).length;
    await inTransactions([0, 'abort'], [1, 'commit']);
    const { health } = start({ stuckMs });
    await reach(1);
    await inTransactions([2, 'abort']);
    await eventually(async () => (await lag()) === 0, 'there is nothing to read');
    const until = performance.now() + 3 * stuckMs;
    await eventually(async () => {
      // on a busy machine an answer of Kafka or PostgreSQL can come later than this short limit
      assert.doesNotMatch((await health.report()).checks[`inbox ${stand.group}`]!.reason ?? '', /makes no progress/);
      return performance.now() > until;
    }, 'some rounds');
    await inTransactions([3, 'abort'], [4, 'commit']);
    await send([message(5)]);
    await reach(3);
    await eventually(async () => (await lag()) === 0, 'there is nothing to read');
    const producer = await stand.kafka.producer();
    await producer.send(stand.topic, 0, [message(6)]);
    await reach(4);
    metrics.lag.reset(); // what is measured from now on
    await eventually(
      async () => (await lag()) === 0,
      'there is nothing to read after the last record, which has no marker',
    );
    assert.deepEqual((await effects()).map(({ n }) => n).toSorted(), [1, 4, 5, 6]);
    assert.equal(await skipped(), 0, 'nothing was lost');
  });

  it('is said to be impossible where a partition has no leader for long', async () => {
    const position = { topic: 'led', partition: 1 } as AssignedPartition;
    let isLed = false;
    const probe = new ProgressProbe({
      group: stand.group,
      topics: () => ['led'],
      pool: stand.database.pool,
      admin: {
        knownWatermarks: () => Promise.resolve(new Map([[1, isLed ? { low: 0n, high: 0n } : undefined]])),
        topicId: () => Promise.resolve(undefined),
      },
      positions: () => [position],
      waitsFor: () => undefined,
      onDisplaced: () => assert.fail('nothing was moved'),
      log,
      stuckMs: 90,
    });
    const health = () => {
      try {
        probe.check();
        return undefined;
      } catch (error) {
        return error as PlatformError;
      }
    };
    probe.start();
    try {
      const { code, message: sentence } = await eventually(health, 'health says so');
      assert.equal(code, 'ERR_KAFKA_NO_LEADER');
      assert.match(sentence, /^partitions have no leader: led\/1 for \d+ s$/);
      isLed = true;
      await eventually(() => !health(), 'it is well again');
    } finally {
      await probe.stop();
    }
  });

  it('says of no partition of an earlier assignment that its offset was moved back', async () => {
    const { pool } = stand.database;
    const partition = (committed: bigint) =>
      ({ topic: stand.topic, partition: 0, committed, error: undefined }) as AssignedPartition;
    let owned = [partition(5n)];
    const asked = Promise.withResolvers<void>();
    const displaced: AssignedPartition[] = [];
    const probe = new ProgressProbe({
      group: stand.group,
      topics: () => [],
      pool: {
        async query(text: string, values: unknown[]) {
          const answer = await pool.query(text, values);
          if (owned[0]!.committed < 0n) asked.resolve();
          owned = [partition(-1n)]; // a rebalance while PostgreSQL answers
          return answer;
        },
      } as unknown as typeof pool,
      admin: stand.kafka.admin,
      positions: () => owned,
      waitsFor: () => undefined,
      onDisplaced: (partitions) => void displaced.push(...partitions),
      log,
      stuckMs: 90,
    });
    probe.start();
    try {
      await asked.promise;
      assert.deepEqual(displaced, []);
    } finally {
      await probe.stop();
    }
  });

  it('is unknown while Kafka does not answer, which is asked once', async () => {
    let asked = 0;
    const answer = Promise.withResolvers<Map<number, Watermarks>>();
    const probe = new ProgressProbe({
      group: stand.group,
      topics: () => [stand.topic],
      pool: stand.database.pool,
      admin: {
        knownWatermarks() {
          asked += 1;
          return answer.promise;
        },
        topicId: () => Promise.resolve(undefined),
      },
      positions: () => [],
      waitsFor: () => undefined,
      onDisplaced: () => assert.fail('nothing was moved'),
      log,
      stuckMs: 90,
    });
    probe.start();
    probe.check();
    await eventually(() => {
      try {
        probe.check();
        return false;
      } catch (error) {
        return (error as { code?: string }).code === 'ERR_INBOX_UNMEASURED';
      }
    }, 'it says that it cannot tell');
    assert.equal(asked, 1);
    const stopping = probe.stop();
    answer.resolve(new Map());
    await stopping;
    assert.equal(asked, 1);
  });
});
