import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Admin, Producer, RecordMetadata } from 'kafkajs';
import { eventually } from '#test/eventually.ts';
import { KafkaJsProducer, chosenPartition, acknowledgementError } from './producer.ts';
import { refusalOf, SendFailed } from '../errors.ts';

const message = (key: string) => ({ key, value: Buffer.from('{}'), headers: {} });
const ack = (partition: number, errorCode = 0): RecordMetadata => ({
  topicName: 't',
  partition,
  errorCode,
  baseOffset: '0',
});

interface Sent {
  partitions: number[];
  answer: PromiseWithResolvers<RecordMetadata[]>;
}

/** A kafkajs producer whose requests the test answers, and topics with ten partitions each. */
function fakeClient() {
  const topics = new Set(['t']);
  const fetchTopicMetadata: Admin['fetchTopicMetadata'] = async (asked) => {
    const [name = assert.fail()] = asked?.topics ?? [];
    if (!topics.has(name)) throw Object.assign(new Error('missing'), { type: 'UNKNOWN_TOPIC_OR_PARTITION' });
    return { topics: [{ name, partitions: Array.from({ length: 10 }) }] };
  };
  const requests: Sent[] = [];
  const record = (messages: { partition?: number }[]) => {
    const answer = Promise.withResolvers<RecordMetadata[]>();
    requests.push({ partitions: messages.map(({ partition }) => partition!), answer });
    return answer.promise;
  };
  const client = {
    send: ({ messages }: { messages: { partition?: number }[] }) => record(messages),
    sendBatch: ({ topicMessages }: { topicMessages: { messages: { partition?: number }[] }[] }) =>
      record(topicMessages.flatMap(({ messages }) => messages)),
    disconnect: () => Promise.resolve(),
  } as unknown as Producer;
  const request = (n: number) => eventually(() => requests[n], `request ${n}`);
  const admin = { fetchTopicMetadata } as Admin;
  let clients = 1;
  const connect = async () => {
    clients += 1;
    return client;
  };
  const producer = new KafkaJsProducer(client, connect, () => Promise.resolve(admin));
  return { topics, requests, request, producer, clients: () => clients };
}

describe('KafkaJsProducer', () => {
  it('resolves when exactly the partition is acknowledged', async () => {
    const { producer, request } = fakeClient();
    const sent = producer.send('t', 3, [message('1')]);
    const { partitions, answer } = await request(0);
    assert.deepEqual(partitions, [3]);
    answer.resolve([ack(3)]);
    await sent;
  });

  for (const [what, answer] of [
    ['nothing', []],
    ['another partition', [ack(4)]],
    ['the partition twice', [ack(3), ack(3)]],
    ['the partition and another', [ack(3), ack(4)]],
    ['the partition with an error', [ack(3, 7)]],
  ] as const) {
    it(`throws when ${what} is acknowledged`, async () => {
      const { producer, request } = fakeClient();
      const sent = producer.send('t', 3, [message('1')]);
      (await request(0)).answer.resolve([...answer]);
      await assert.rejects(sent, SendFailed);
    });
  }

  it('shares a request among partitions and sends one that is not acknowledged again, alone', async () => {
    const { producer, request, requests } = fakeClient();
    const sent = Promise.all([0, 1, 2].map((partition) => producer.send('t', partition, [message('1')])));
    const together = await request(0);
    assert.deepEqual(together.partitions, [0, 1, 2]);
    together.answer.resolve([ack(0), ack(2)]);
    const alone = await request(1);
    assert.deepEqual(alone.partitions, [1]);
    alone.answer.resolve([ack(1)]);
    await sent;
    assert.equal(requests.length, 2);
  });

  it('lets a partition that fails not fail the others of the request', async () => {
    const { producer, request } = fakeClient();
    const [good, bad] = [producer.send('t', 0, [message('1')]), producer.send('t', 1, [message('1')])];
    const failure = assert.rejects(bad, SendFailed);
    (await request(0)).answer.reject(Object.assign(new Error('message too large'), { retriable: false }));
    (await request(1)).answer.resolve([ack(0)]);
    (await request(2)).answer.reject(Object.assign(new Error('message too large'), { retriable: false }));
    await Promise.all([good, failure]);
  });

  it('sends to a partition only when the send before has ended', async () => {
    const { producer, request, requests } = fakeClient();
    const first = producer.send('t', 0, [message('1')]);
    const second = producer.send('t', 0, [message('1')]);
    const { answer } = await request(0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(requests.length, 1);
    answer.resolve([ack(0)]);
    await first;
    (await request(1)).answer.resolve([ack(0)]);
    await second;
  });

  it('keeps a topic from kafkajs until it exists', async () => {
    const { producer, request, requests, topics } = fakeClient();
    const early = producer.send('new', 0, [message('1')]);
    const sent = producer.send('t', 3, [message('1')]);
    const first = await request(0);
    assert.deepEqual(first.partitions, [3]);
    first.answer.resolve([ack(3)]);
    await sent;
    assert.equal(requests.length, 1);
    topics.add('new');
    (await request(1)).answer.resolve([{ ...ack(0), topicName: 'new' }]);
    await early;
  });

  it('exchanges its client once another topic makes it fail, and fails itself where its own topic is gone', async () => {
    const { producer, request, topics, clients } = fakeClient();
    const gone = () =>
      Object.assign(new Error('no such topic'), { type: 'UNKNOWN_TOPIC_OR_PARTITION', retriable: true });
    const sent = producer.send('t', 0, [message('1')]);
    (await request(0)).answer.reject(gone());
    (await request(1)).answer.resolve([ack(0)]);
    await sent;
    assert.equal(clients(), 2);
    const late = producer.send('t', 0, [message('1')]);
    topics.delete('t');
    (await request(2)).answer.reject(gone());
    await assert.rejects(late, (error) => refusalOf(error)?.of === 'topic');
  });

  it('refuses a message that no broker takes in a request: it would close the connection at each attempt', async () => {
    const { producer, requests } = fakeClient();
    const value = Buffer.alloc(101 * 1024 * 1024);
    await assert.rejects(producer.send('t', 0, [{ ...message('1'), value }]), (error) => {
      return error instanceof SendFailed && refusalOf(error)?.of === 'message';
    });
    const records = { count: 1, bytes: value, timestamp: 0 };
    await assert.rejects(producer.send('t', 0, records), (error) => refusalOf(error)?.of === 'message');
    assert.equal(requests.length, 0);
  });

  it('tries again after a passing error', async () => {
    const { producer, request } = fakeClient();
    const sent = producer.send('t', 0, [message('1')]);
    (await request(0)).answer.reject(Object.assign(new Error('no leader'), { retriable: true }));
    (await request(1)).answer.resolve([ack(0)]);
    await sent;
  });

  it('tries no more once the time for that is over, and waits for the attempt that runs', async () => {
    const { producer, request, requests } = fakeClient();
    const noLeader = () => Object.assign(new Error('no leader'), { retriable: true });
    const failed = assert.rejects(producer.send('t', 0, [message('1')], { retryMs: 0 }), SendFailed);
    (await request(0)).answer.reject(noLeader());
    await failed;
    const slow = producer.send('t', 0, [message('1')], { retryMs: 0 });
    (await request(1)).answer.resolve([ack(0)]);
    await slow;
    assert.equal(requests.length, 2);
  });
});

describe('chosenPartition', () => {
  it('stops an attempt that comes after the time of its send', () => {
    const choose = chosenPartition();
    const late = { ...message('1'), partition: 2, deadline: performance.now() - 1 };
    assert.throws(() => choose({ topic: 't', partitionMetadata: [], message: late }), SendFailed);
    const inTime = { ...late, deadline: performance.now() + 1_000 };
    assert.equal(choose({ topic: 't', partitionMetadata: [], message: inTime }), 2);
  });
});

describe('acknowledgementError', () => {
  it('finds none where the partition is acknowledged once', () =>
    assert.equal(acknowledgementError([ack(1)], 't', 1), undefined));
});
