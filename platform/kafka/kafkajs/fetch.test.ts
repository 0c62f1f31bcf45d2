import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import type { TestContext } from 'node:test';
import { batchOf } from '../record/testing.ts';
import { decoding } from './fetch.ts';

const storageError = 56;

/** A broker with a batch in each partition, whose answers can be errors. */
function brokerWith(batches: Record<number, Buffer>) {
  const asked: number[][] = [];
  const errors: Record<number, number> = {};
  const stable: Record<number, string> = {};
  const fetch = decoding(
    ({ topics }) => {
      const responses = topics.map(({ topic, partitions }) => ({
        topicName: topic,
        partitions: partitions.map(({ partition }) => {
          const errorCode = errors[partition] ?? 0;
          const bytes = errorCode ? Buffer.alloc(0) : batches[partition]!;
          const messages = { bytes, start: 0, end: bytes.length };
          const lastStableOffset = stable[partition] ?? '100';
          return { partition, errorCode, highWatermark: '100', lastStableOffset, abortedTransactions: null, messages };
        }),
      }));
      asked.push(topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)));
      return Promise.resolve({ responses });
    },
    (code) => new Error(`code ${code}`),
  );
  const broker = { fetch };
  const fetchOffset = '0';
  const partitions = Object.keys(batches).map((name) => ({ partition: Number(name), fetchOffset, maxBytes: 100 }));
  const request = { maxWaitTime: 5, topics: [{ topic: 'orders', partitions }] };
  const ask = async () => {
    const { responses } = await broker.fetch(request);
    return responses.flatMap(({ partitions: answers }) =>
      answers.map(({ partition, messages, failure }) => [
        partition,
        failure?.message ?? messages.messages.length,
        messages.nextOffset,
      ]),
    );
  };
  return { ask, asked, errors, stable };
}

const good = batchOf({ values: ['a'] });
const newLeader = { name: 'KafkaJSBrokerNotFound' };

function clock(t: TestContext) {
  let now = 0;
  const timer = mock.method(performance, 'now', () => now);
  t.after(() => timer.mock.restore());
  return (ms: number) => {
    now += ms;
  };
}

describe('a fetch', () => {
  it('brings a batch that cannot be read beside the others', async () => {
    const { ask } = brokerWith({ 0: batchOf({ values: ['x', 'y'], attributes: 7 }), 1: good });
    assert.deepEqual(await ask(), [
      [0, 1, 2n],
      [1, 1, 1n],
    ]);
  });

  it('leaves out a partition that the broker has an error for, and asks for it again after a pause', async (t) => {
    const pass = clock(t);
    const { ask, asked, errors } = brokerWith({ 0: good, 1: good });
    errors[0] = storageError;
    assert.deepEqual(await ask(), [
      [0, 'code 56', 0n],
      [1, 1, 1n],
    ]);
    await assert.rejects(ask(), newLeader); // kafkajs asks who leads the partition, and goes on
    assert.deepEqual(await ask(), [[1, 1, 1n]]);
    pass(10_000);
    delete errors[0];
    assert.equal((await ask()).length, 2);
    assert.deepEqual(asked, [[0, 1], [1], [0, 1]]);
  });

  it('names an open transaction where nothing comes because of it, and asks again at once', async (t) => {
    clock(t);
    const { ask, asked, stable } = brokerWith({ 0: Buffer.alloc(0), 1: good });
    stable[0] = '0';
    stable[1] = '1';
    const open = 'a transaction that another program has begun at offset 0 has not ended';
    for (let i = 0; i < 2; i += 1)
      assert.deepEqual(await ask(), [
        [0, open, 0n],
        [1, 1, 1n],
      ]);
    assert.deepEqual(asked, [
      [0, 1],
      [0, 1],
    ]);
    stable[0] = '100';
    assert.deepEqual((await ask())[0], [0, 0, 0n]);
  });

  it('asks for nothing while all its partitions wait', async (t) => {
    clock(t);
    const { ask, asked, errors } = brokerWith({ 0: good });
    errors[0] = storageError;
    await ask();
    await assert.rejects(ask(), newLeader);
    assert.deepEqual(await ask(), []);
    assert.equal(asked.length, 1);
  });
});
