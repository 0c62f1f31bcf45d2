import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { untilPasses } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { createLogger } from '#platform/telemetry';
import { createKafka } from '../port.ts';
import { readTopic as readWhole } from '../read-topic.ts';
import type { Kafka } from '../port.ts';
import { compressionTypes } from '../record/codecs.ts';
import { readTopic } from '../testing/read-topic.ts';
import type { Step } from '../testing/foreign-producer.ts';
import { produceForeign } from '../testing/produce-foreign.ts';
import { administer } from '../testing/administer.ts';

const log = createLogger('foreign-batches-test', 'silent');
const brokers = testKafka().brokers.split(',');

let kafka: Kafka;
before(() => {
  kafka = createKafka({ brokers, clientId: 'foreign-batches-test', log });
});
after(() => kafka.close());

/** Reads a topic up to the message with this value. */
const readUpTo = (topic: string, last: string) =>
  readTopic(kafka, topic, (messages) => messages.some(({ value }) => String(value) === last), `the message ${last}`);

/** Creates a topic whose batches the broker compresses again, as another producer would. */
async function compressedTopic(type: string): Promise<string> {
  const topic = `compressed-${type}-${process.pid}-${Date.now()}`;
  const configEntries = [{ name: 'compression.type', value: type === 'none' ? 'uncompressed' : type }];
  await administer((admin) =>
    admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: 1, configEntries }] }),
  );
  await untilPasses(() => kafka.admin.watermarks(topic)); // its leader takes requests
  return topic;
}

describe('compressed batches', () => {
  for (const type of compressionTypes) {
    it(`of the broker are read: ${type}`, async () => {
      const topic = await compressedTopic(type);
      const producer = await kafka.producer();
      const messages = Array.from({ length: 50 }, (_, i) => ({
        key: `k${i}`,
        value: Buffer.from(`${i} ${'large enough for more than one block '.repeat(100)}`),
        headers: { ce_id: String(i) },
      }));
      await producer.send(topic, 0, messages);
      await producer.send(topic, 0, [{ key: 'k', value: Buffer.from('last'), headers: {} }]);
      const read = await readUpTo(topic, 'last');
      assert.deepEqual(
        read.slice(0, -1).map(({ key, value, headers }) => ({ key, value, headers })),
        messages,
      );
    });

    it(`are written, and the broker and we read them: ${type}`, async () => {
      const topic = await uniqueTopic(`written-${type}`, 1);
      const compressing = createKafka({ brokers, clientId: 'foreign-batches-test', log, compression: type });
      try {
        const producer = await compressing.producer();
        const value = Buffer.from('compressible '.repeat(10_000));
        await producer.send(topic, 0, [{ key: 'a', value, headers: { a: 'b' } }]);
        await producer.send(topic, 0, [
          { key: 'b', value: Buffer.from('1'), headers: {}, timestamp: 1_767_225_600_000 },
          { key: 'c', value: Buffer.from('last'), headers: {}, timestamp: 1_767_225_700_000 },
        ]);
        const [first, ...rest] = await readUpTo(topic, 'last');
        assert.deepEqual([first?.key, first?.value, first?.headers], ['a', value, { a: 'b' }]);
        assert.deepEqual(
          rest.map(({ key, timestamp }) => [key, timestamp]),
          [
            ['b', 1_767_225_600_000],
            ['c', 1_767_225_700_000],
          ],
        );
      } finally {
        await compressing.close();
      }
    });
  }
});

describe('transactions of others', () => {
  it('are read when they are committed, and never when they are aborted', async () => {
    const topic = await uniqueTopic('transactions', 1);
    const record = (producer: string, value: string, key: string | null = null): Step => ({
      producer,
      kind: 'record',
      key,
      value,
    });
    await produceForeign(topic, [
      record('a', 'a1 aborted'),
      record('b', 'b1'),
      record('c', 'c1 aborted'),
      record('a', 'a2 aborted', '\0\0\0\0'),
      record('a', 'a3 aborted'),
      record('b', 'b2', '\0\0\0\0'),
      { producer: 'a', kind: 'abort' },
      record('a', 'a4'),
      record('c', 'c2 aborted'),
      { producer: 'c', kind: 'abort' },
      { producer: 'b', kind: 'commit' },
      { producer: 'a', kind: 'commit' },
      record('c', 'last'),
    ]);
    const read = await readUpTo(topic, 'last');
    assert.deepEqual(
      read.map(({ value }) => String(value)),
      ['b1', 'b2', 'a4', 'last'],
    );
  });

  it('are in the log before they end: its end is behind them', async () => {
    const topic = await uniqueTopic('open-transaction', 1);
    const record: Step = { producer: 'a', kind: 'record', key: null, value: 'open' };
    await produceForeign(topic, [record, record, { kind: 'leave' }]);
    assert.deepEqual((await kafka.admin.watermarks(topic)).get(0), { low: 0n, high: 2n });
    const reading = readWhole(kafka, { topic, group: `group-${topic}`, onMessages: () => undefined, silentMs: 5_000 });
    await assert.rejects(
      reading,
      /nothing comes of .*: a transaction that another program has begun at offset 0 has not/,
    );
  });
});
