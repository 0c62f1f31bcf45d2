import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { watchResources } from '#test/alive.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { createLogger } from '#platform/telemetry';
import { subscribeLatest } from './broadcast.ts';
import { KafkaUnreachable, createKafka } from './port.ts';
import type { ConsumerHandle, Kafka, Producer } from './port.ts';
import { kafkajs } from './kafkajs/patches.ts';
import { testAdmin } from './testing/admin-conformance.ts';
import { testConsumers } from './testing/consumer-conformance.ts';
import { testProducers } from './testing/producer-conformance.ts';
import { readTopic } from './testing/read-topic.ts';
import { administer, deleteTopic } from './testing/administer.ts';

const log = createLogger('kafka-test', 'silent');
const connect = () => createKafka({ brokers: testKafka().brokers.split(','), clientId: 'kafka-test', log });
const outgoing = (text: string) => ({ key: 'k', value: Buffer.from(text), headers: {} });
const newTopic = async (partitions: number, name?: string) => {
  if (name === undefined) return uniqueTopic('conforming', partitions);
  const own = connect();
  await own.admin.ensureTopics([{ name, partitions, retentionMs: -1 }]);
  await own.close();
  return name;
};
const warnings: Error[] = [];
const onWarning = (warning: Error) => warnings.push(warning);
process.on('warning', onWarning);
after(() => process.off('warning', onWarning));

const underTest = async () => ({ kafka: connect(), newTopic });

testProducers('kafkajs', async () => {
  const kafka = connect();
  const read = (topic: string, count: number) =>
    readTopic(kafka, topic, (messages) => messages.length >= count, `${count} messages`);
  return { kafka, newTopic, deleteTopic, read };
});
testConsumers('kafkajs', underTest);
testAdmin('kafkajs', async () => ({ ...(await underTest()), deleteTopic }));

describe('Kafka', () => {
  let kafka: Kafka;
  let producer: Producer;

  before(async () => {
    kafka = connect();
    producer = await kafka.producer();
  });
  after(() => kafka.close());

  it('broadcasts what comes from now on, and survives a message that is not understood', async () => {
    const topic = await uniqueTopic('broadcast', 1);
    await producer.send(topic, 0, [outgoing('before')]);
    const received: string[] = [];
    const reset = Promise.withResolvers<void>();
    const subscription = subscribeLatest({
      kafka,
      topics: [topic],
      log,
      onReset: () => reset.resolve(),
      onMessage({ value }) {
        received.push(String(value));
        if (String(value) === 'bad') throw new Error('what is this?');
      },
    });
    await reset.promise;
    // the position is taken some moments after the join: messages are sent until one arrives
    await eventually(async () => {
      await producer.send(topic, 0, [outgoing('bad')]);
      return received.length > 0;
    }, 'a message');
    await producer.send(topic, 0, [outgoing('after')]);
    await eventually(() => received.includes('after'), 'the last message');
    assert.ok(!received.includes('before'));
    await subscription.stop();
  });

  it('reads partitions that a topic gets while it is read', async () => {
    const topic = await uniqueTopic('grown', 1);
    const received: string[] = [];
    const consumer = kafka.consumer({
      group: topic,
      topics: [topic],
      from: 'earliest',
      async onBatch({ messages }) {
        received.push(...messages.map(({ value }) => String(value)));
        return true;
      },
    });
    consumer.start();
    await producer.send(topic, 0, [outgoing('before')]);
    await eventually(() => received.length === 1, 'the first');
    await administer((admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }));
    const other = connect();
    try {
      await (await other.producer()).send(topic, 1, [outgoing('after')]);
      await eventually(() => received.includes('after'), 'a message of the new partition', 30_000);
    } finally {
      await Promise.all([other.close(), consumer.stop()]);
    }
  });

  it('has left nothing of a broadcast that has stopped', async () => {
    const topic = await uniqueTopic('broadcast', 1);
    await assertStopsCompletely(kafka, (own) => {
      let subscription: ConsumerHandle | undefined;
      return {
        start: () => {
          const ignore = () => undefined;
          subscription = subscribeLatest({ kafka: own, topics: [topic], log, onMessage: ignore, onReset: ignore });
        },
        stop: () => subscription!.stop(),
      };
    });
  });

  it('asks for nothing any more when it is closed, and connects to nobody', async () => {
    const left = watchResources();
    const topic = await uniqueTopic('closed', 1);
    const own = connect();
    const { admin } = own;
    await admin.watermarks(topic);
    const consumer = own.consumer({ group: topic, topics: [topic], from: 'latest', onBatch: async () => true });
    consumer.start();
    const connecting = Promise.allSettled([own.producer()]);
    await own.close();
    await connecting;
    const closed = /was closed/;
    await assert.rejects(admin.watermarks(topic), closed);
    await assert.rejects(own.check(), closed);
    assert.throws(() => consumer.checkJoined());
    const another = () => own.consumer({ group: topic, topics: [topic], from: 'latest', onBatch: async () => true });
    assert.throws(another, closed);
    assert.deepEqual(left(), []);
  });

  it('sends without the numbers of an idempotent producer', async (t) => {
    const make = t.mock.method(kafkajs.Kafka.prototype, 'producer');
    const topic = await uniqueTopic('numbers', 1);
    const own = await kafka.producer();
    await own.send(topic, 0, [outgoing('a')]);
    await own.close();
    assert.deepEqual(
      make.mock.calls.map(({ arguments: [options] }) => options?.idempotent ?? false),
      [false],
    );
  });

  it('says within seconds that no broker answers', async () => {
    const nowhere = createKafka({ brokers: ['127.0.0.1:1'], clientId: 'kafka-test', log });
    const since = performance.now();
    await assert.rejects(nowhere.producer(), (error) => {
      assert.ok(error instanceof KafkaUnreachable);
      assert.match(error.message, /no Kafka broker answers at 127\.0\.0\.1:1: .*ECONNREFUSED/);
      return true;
    });
    await assert.rejects(nowhere.check(), KafkaUnreachable);
    assert.ok(performance.now() - since < 8_000);
    await nowhere.close();
  });

  it('made Node warn of nothing', () => {
    assert.deepEqual(
      warnings.filter((warning) => warning.name === 'TimeoutNegativeWarning'),
      [],
    );
  });
});
