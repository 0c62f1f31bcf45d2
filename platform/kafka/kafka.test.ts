import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { watchResources } from '#test/alive.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { createLogger } from '#platform/telemetry';
import { subscribeLatest } from './broadcast.ts';
import { KafkaUnreachable, createKafka } from './port.ts';
import type { ConsumerHandle, IncomingMessage, Kafka, Producer } from './port.ts';
import { eventually } from './testing.ts';

const log = createLogger('kafka-test', 'silent');
const outgoing = (key: string, text: string) => ({ key, value: Buffer.from(text), headers: { name: text } });

const numbersFrom = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i);

describe('Kafka', () => {
  let kafka: Kafka;
  let producer: Producer;
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);

  before(async () => {
    process.on('warning', onWarning);
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'kafka-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    process.off('warning', onWarning);
    await kafka.close();
  });

  it('creates topics that are missing, and leaves the others as they are', async () => {
    const name = `ensured-${randomUUID()}`;
    assert.deepEqual(await kafka.admin.ensureTopics([{ name, partitions: 3, retentionMs: -1 }]), [name]);
    assert.deepEqual(await kafka.admin.ensureTopics([{ name, partitions: 5, retentionMs: 1_000 }]), []);
    assert.equal((await kafka.admin.watermarks(name)).size, 3);
  });

  it('carries messages in order, with their headers, and tells the group where it is', async () => {
    const topic = await uniqueTopic('carried', 2);
    const group = `group-${topic}`;
    const received: IncomingMessage[] = [];
    const joined = Promise.withResolvers<void>();
    const consumer = kafka.consumer({
      group,
      topics: [topic],
      from: 'earliest',
      onAssigned: () => joined.resolve(),
      onBatch: (batch) => {
        received.push(...batch.messages);
        return Promise.resolve(true);
      },
    });
    assert.throws(() => consumer.checkJoined(), /not started/);
    consumer.start();
    await joined.promise;
    consumer.checkJoined();
    consumer.checkAlive();
    const partition = await producer.partitionFor(topic, 'key');
    await producer.send(topic, partition, [outgoing('key', 'a'), outgoing('key', 'b')]);
    await producer.send(topic, partition, [{ ...outgoing('key', 'c'), timestamp: 1_767_225_600_000 }]);
    await eventually(() => received.length === 3, 'three messages');
    assert.deepEqual(
      received.map(({ value, headers, offset, key }) => [String(value), headers, offset, key]),
      ['a', 'b', 'c'].map((text, i) => [text, { name: text }, BigInt(i), 'key']),
    );
    assert.equal(received[2]!.timestamp, 1_767_225_600_000);
    await consumer.commit([{ topic, partition, offset: 3n }]);
    assert.deepEqual(await kafka.admin.committed(group, [topic]), [{ topic, partition, offset: 3n }]);
    assert.equal((await kafka.admin.watermarks(topic)).get(partition)?.high, 3n);
    await consumer.stop();
  });

  it('is read from where a consumer says, also while it is far behind', async () => {
    const topic = await uniqueTopic('behind', 1);
    const value = Buffer.alloc(50_000);
    for (let i = 0; i < 20; i++) {
      const messages = Array.from({ length: 10 }, (_, k) => ({ key: 'k', value, headers: { n: String(10 * i + k) } }));
      await producer.send(topic, 0, messages);
    }
    const read: number[] = [];
    let hasGoneBack = false;
    const consumer = kafka.consumer({
      group: `group-${topic}`,
      topics: [topic],
      from: 'earliest',
      onBatch({ messages }) {
        const numbers = messages.map(({ headers }) => Number(headers['n']));
        read.push(...numbers);
        if (!hasGoneBack && numbers.includes(100)) {
          hasGoneBack = true;
          consumer.seek({ topic, partition: 0, offset: 30n });
          return Promise.resolve(false);
        }
        return Promise.resolve(true);
      },
    });
    consumer.start();
    await eventually(() => read.at(-1) === 199, 'the last message');
    await consumer.stop();
    const back = read.indexOf(30, 100);
    assert.deepEqual(read.slice(0, back), numbersFrom(0, back));
    assert.deepEqual(read.slice(back), numbersFrom(30, 170));
  });

  it('sends what one partition refuses not twice to the others', async () => {
    const topic = await uniqueTopic('refused', 2);
    const tooLarge = { ...outgoing('k', 'x'), value: Buffer.alloc(5 * 1024 * 1024) };
    const [good, bad] = await Promise.allSettled([
      producer.send(topic, 0, [outgoing('k', 'fits')]),
      producer.send(topic, 1, [tooLarge]),
    ]);
    assert.equal(good.status, 'fulfilled');
    assert.equal(bad.status, 'rejected');
    const marks = await kafka.admin.watermarks(topic);
    assert.deepEqual([marks.get(0)?.high, marks.get(1)?.high], [1n, 0n]);
  });

  it('joins as soon as a missing topic is there', async () => {
    const topic = `late-${randomUUID()}`;
    const joined = Promise.withResolvers<void>();
    const consumer = kafka.consumer({
      group: `group-${topic}`,
      topics: [topic],
      from: 'earliest',
      onAssigned: () => joined.resolve(),
      onBatch: () => Promise.resolve(true),
    });
    consumer.start();
    await eventually(() => {
      try {
        consumer.checkJoined();
      } catch (error) {
        return /not in the group .*topic/.test(String(error));
      }
      return false;
    }, 'a reason that names the topic');
    await kafka.admin.ensureTopics([{ name: topic, partitions: 1, retentionMs: -1 }]);
    await joined.promise;
    await consumer.stop();
  });

  it('gives the partitions of a member that stops to the others at once', async () => {
    const topic = await uniqueTopic('handed-over', 4);
    const assigned = [0, 0];
    const members = [0, 1].map((i) =>
      kafka.consumer({
        group: `group-${topic}`,
        topics: [topic],
        from: 'earliest',
        onAssigned: (partitions) => (assigned[i] = partitions.length),
        onBatch: () => Promise.resolve(true),
      }),
    );
    members[0]!.start();
    await eventually(() => assigned[0] === 4, 'the first member has all');
    members[1]!.start();
    await eventually(() => assigned[0] === 2 && assigned[1] === 2, 'both have half');
    const since = performance.now();
    await members[0]!.stop();
    await eventually(() => assigned[1] === 4, 'the second member has all');
    assert.ok(performance.now() - since < 10_000, 'long before the session times out');
    await members[1]!.stop();
  });

  it('broadcasts what comes from now on, and survives a message that is not understood', async () => {
    const topic = await uniqueTopic('broadcast', 1);
    await producer.send(topic, 0, [outgoing('k', 'before')]);
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
      await producer.send(topic, 0, [outgoing('k', 'bad')]);
      return received.length > 0;
    }, 'a message');
    await producer.send(topic, 0, [outgoing('k', 'after')]);
    await eventually(() => received.includes('after'), 'the last message');
    assert.ok(!received.includes('before'));
    await subscription.stop();
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
    const own = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'kafka-test', log });
    const { admin } = own;
    const late = await own.producer();
    await admin.watermarks(topic);
    const connecting = own.producer();
    await own.close();
    await Promise.allSettled([connecting]);
    const closed = /was closed/;
    await assert.rejects(admin.watermarks(topic), closed);
    await assert.rejects(own.check(), closed);
    await assert.rejects(own.producer(), closed);
    await assert.rejects(late.partitionsOf(topic), closed);
    await assert.rejects(late.send(topic, 0, [outgoing('k', 'late')]), closed);
    const consumer = () => own.consumer({ group: topic, topics: [topic], from: 'latest', onBatch: async () => true });
    assert.throws(consumer, closed);
    assert.deepEqual(left(), []);
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
