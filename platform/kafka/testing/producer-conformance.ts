// The guarantees for users of the port, as tests. Those of producers and of consumers (consumer-conformance.ts) hold for kafkajs and
// for the fake alike; admin-conformance.ts is for kafkajs alone.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { refusalOf, SendFailed } from '../errors.ts';
import { partitionOf } from '../partitioning.ts';
import type { IncomingMessage, Kafka, OutgoingMessage, Producer } from '../port.ts';
import { PartitionRecords, RecordWriter } from '../record/encoder.ts';

/** A Kafka whose producers are tested. */
export interface ProducersUnderTest {
  kafka: Pick<Kafka, 'producer' | 'close'>;
  newTopic(partitions: number, name?: string): Promise<string>;
  /** Deletes a topic; resolves when no broker has it any more. */
  deleteTopic(topic: string): Promise<void>;
  /** The log of a topic, once it has this many messages; each partition in its order. */
  read(topic: string, count: number): Promise<Logged[]>;
}

type Logged = Pick<IncomingMessage, 'partition' | 'key' | 'value' | 'headers' | 'timestamp'>;

const missing = 'a-topic-that-nobody-has-created';
const message = (text: string, key = 'k'): OutgoingMessage => ({ key, value: Buffer.from(text), headers: {} });
const textsOf = (log: readonly Logged[], partition = 0) =>
  log.filter((one) => one.partition === partition).map(({ value }) => String(value));

/** Declares the tests of a producer. @param open makes a Kafka that these tests close */
export function testProducers(name: string, open: () => Promise<ProducersUnderTest>): void {
  describe(`a producer of ${name}`, { concurrency: true }, () => {
    let kafka: ProducersUnderTest['kafka'];
    let newTopic: ProducersUnderTest['newTopic'];
    let deleteTopic: ProducersUnderTest['deleteTopic'];
    let read: ProducersUnderTest['read'];
    let producer: Producer;
    before(async () => {
      ({ kafka, newTopic, deleteTopic, read } = await open());
      producer = await kafka.producer();
    });
    after(() => kafka.close());

    it('knows how many partitions a topic has, and that there is no topic', async () => {
      assert.equal(await producer.partitionsOf(await newTopic(3)), 3);
      const isMissing = { code: 'ERR_KAFKA_TOPIC_MISSING' };
      await assert.rejects(producer.partitionsOf(missing), isMissing);
      await assert.rejects(producer.partitionFor(missing, 'k'), isMissing);
    });

    it('chooses the partition of a key as the Java client does', async () => {
      const topic = await newTopic(5);
      for (const key of ['1', '42', 'user-7', 'schlüssel', ''])
        assert.equal(await producer.partitionFor(topic, key), partitionOf(key, 5), key);
    });

    it('has appended what it is given, to that partition, when it resolves', async () => {
      const topic = await newTopic(3);
      const given = [
        { key: 'ключ', value: Buffer.from([0, 255, 10]), headers: { a: 'ä', b: '' }, timestamp: 1_767_225_600_002 },
        { key: '', value: Buffer.alloc(0), headers: {}, timestamp: 1_767_225_600_001 },
      ];
      await producer.send(topic, 2, given);
      for (const { value } of given) value.fill(7); // the log has the bytes as they were
      const log = await read(topic, 2);
      assert.deepEqual(
        log.map(({ partition, key, value, headers, timestamp }) => [partition, key, [...value!], headers, timestamp]),
        [
          [2, 'ключ', [0, 255, 10], { a: 'ä', b: '' }, 1_767_225_600_002],
          [2, '', [], {}, 1_767_225_600_001],
        ],
      );
    });

    it('gives a message the time of its send where it has none', async () => {
      const topic = await newTopic(1);
      const earliest = Date.now();
      await producer.send(topic, 0, [message('a')]);
      const latest = Date.now();
      const [{ timestamp } = assert.fail()] = await read(topic, 1);
      assert.ok(earliest <= timestamp && timestamp <= latest, `${earliest} ${timestamp} ${latest}`);
    });

    it('keeps the order of the sends to a partition, though none waits for the one before', async () => {
      const topic = await newTopic(2);
      const numbers = Array.from({ length: 40 }, (_, n) => String(n));
      await Promise.all(
        numbers.map((n) => producer.send(topic, Number(n) % 2, [message(`${n} a`), message(`${n} b`)])),
      );
      const log = await read(topic, 80);
      for (const partition of [0, 1]) {
        const own = numbers.filter((n) => Number(n) % 2 === partition);
        assert.deepEqual(
          textsOf(log, partition),
          own.flatMap((n) => [`${n} a`, `${n} b`]),
        );
      }
    });

    it('appends records that are encoded already, in their order among others', async () => {
      const topic = await newTopic(1);
      const bodies = new RecordWriter();
      const records = new PartitionRecords(1_000);
      for (const text of ['b', 'c']) {
        const start = bodies.length;
        bodies.text('key');
        bodies.text(text);
        bodies.varint(1);
        bodies.text('name');
        bodies.text(text);
        records.add(bodies.bytes, start, bodies.length);
      }
      const { bytes, count } = records;
      await Promise.all([
        producer.send(topic, 0, [message('a')]),
        producer.send(topic, 0, { bytes, count, timestamp: 1_767_225_600_000 }),
        producer.send(topic, 0, [message('d')]),
      ]);
      const log = await read(topic, 4);
      assert.deepEqual(textsOf(log), ['a', 'b', 'c', 'd']);
      const { key, headers, timestamp } = log[2]!;
      assert.deepEqual([key, headers, timestamp], ['key', { name: 'c' }, 1_767_225_600_000]);
    });

    it('fails the send that a partition refuses, alone', async () => {
      const topic = await newTopic(2);
      const tooLarge = { ...message(''), value: Buffer.alloc(5 * 1024 * 1024) };
      const outcomes = await Promise.allSettled([
        producer.send(topic, 0, [message('a')]),
        producer.send(topic, 1, [tooLarge]),
        producer.send(topic, 1, [message('b')]),
      ]);
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      const { reason } = outcomes[1] as PromiseRejectedResult;
      assert.ok(reason instanceof SendFailed);
      assert.equal(refusalOf(reason)?.of, 'message');
      const log = await read(topic, 2);
      assert.deepEqual([textsOf(log, 0), textsOf(log, 1)], [['a'], ['b']]);
    });

    it('sends to the other topics after one was deleted, refuses that one, and takes it when it is back', async () => {
      const [kept, gone, later] = [await newTopic(1), await newTopic(1), await newTopic(1)];
      const own = await kafka.producer();
      await Promise.all([own.send(kept, 0, [message('a')]), own.send(gone, 0, [message('a')])]);
      await deleteTopic(gone);
      await Promise.all([
        own.send(later, 0, [message('a')]), // a topic that the producer has not sent to before
        own.send(kept, 0, [message('b')]),
        assert.rejects(own.send(gone, 0, [message('b')]), (error) => refusalOf(error)?.of === 'topic'),
        own.send(kept, 0, [message('c')]),
      ]);
      await assert.rejects(own.partitionsOf(gone), (error) => refusalOf(error)?.of === 'topic');
      await newTopic(1, gone);
      await own.send(gone, 0, [message('c')]);
      // what shared a request with the refused send can be in the log twice
      await eventually(
        async () => String([...new Set(textsOf(await read(kept, 3)))]) === 'a,b,c',
        'all in their order',
      );
      assert.deepEqual(textsOf(await read(later, 1)), ['a']);
      assert.deepEqual(textsOf(await read(gone, 1)), ['c']);
      await own.close();
    });

    for (const [what, partition, messages] of [
      ['to a topic that does not exist', 0, [message('a')]],
      ['to a partition that does not exist', 1, [message('a')]],
      ['of no message', 0, []],
    ] as const) {
      it(`fails a send ${what}`, async () => {
        const topic = what.includes('topic') ? missing : await newTopic(1);
        await assert.rejects(producer.send(topic, partition, messages), SendFailed);
      });
    }

    it('ends its sends when it is closed, takes no more, and leaves other producers alone', async () => {
      const topic = await newTopic(1);
      const own = await kafka.producer();
      let isSent = false;
      const sending = own.send(topic, 0, [message('a')]).then(() => (isSent = true));
      await own.close();
      assert.ok(isSent);
      await sending;
      await assert.rejects(own.send(topic, 0, [message('b')]), SendFailed);
      await assert.rejects(own.partitionsOf(topic), { code: 'ERR_KAFKA_CLOSED' });
      await producer.send(topic, 0, [message('c')]);
      assert.deepEqual(textsOf(await read(topic, 2)), ['a', 'c']);
    });

    it('is of no use when its Kafka is closed', async () => {
      const own = await open();
      const topic = await own.newTopic(1);
      const late = await own.kafka.producer();
      assert.equal(await late.partitionsOf(topic), 1);
      await own.kafka.close();
      const closed = /was closed/;
      await assert.rejects(own.kafka.producer(), closed);
      await assert.rejects(late.partitionsOf(topic), closed);
      await assert.rejects(late.partitionFor(topic, 'k'), closed);
      await assert.rejects(late.send(topic, 0, [message('late')]), closed);
    });
  });
}
