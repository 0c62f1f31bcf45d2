import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { createLogger } from '#platform/telemetry';
import { createKafka } from '../port.ts';
import type { Kafka } from '../port.ts';

const require = createRequire(import.meta.url);
const storageError = 56;

interface FetchAnswer {
  responses: { topicName: string; partitions: { partition: number; errorCode: number; messages: object }[] }[];
}

const log = createLogger('failing-partition-test', 'silent');
let kafka: Kafka;
before(() => {
  kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'failing-partition-test', log });
});
after(() => kafka.close());

it('a partition that the broker fails at is read on when it ends, and the others meanwhile', async (t) => {
  const topic = await uniqueTopic('failing', 2);
  const response = require('kafkajs/src/protocol/requests/fetch/v11/response') as {
    decode(data: Buffer): Promise<FetchAnswer>;
  };
  const { decode } = response;
  let isFailing = true;
  let failures = 0;
  t.after(() => Object.assign(response, { decode }));
  response.decode = async (data) => {
    const answer = await decode(data);
    for (const { topicName, partitions } of answer.responses)
      for (const one of partitions) {
        if (!isFailing || topicName !== topic || one.partition !== 0) continue;
        failures += 1;
        Object.assign(one, { errorCode: storageError, messages: { ...one.messages, end: 0, start: 0 } });
      }
    return answer;
  };
  const producer = await kafka.producer();
  const send = (partition: number, text: string) =>
    producer.send(topic, partition, [{ key: text, value: Buffer.from(text), headers: {} }]);
  await Promise.all([send(0, 'a'), send(1, 'b')]);
  const warn = t.mock.method(log, 'warn');
  const read: string[] = [];
  let joins = 0;
  const consumer = kafka.consumer({
    group: `group-${topic}`,
    topics: [topic],
    from: 'earliest',
    onAssigned: () => void (joins += 1),
    onBatch({ messages }) {
      read.push(...messages.map(({ value }) => String(value)));
      return Promise.resolve(true);
    },
  });
  t.after(() => consumer.stop());
  consumer.start();
  await eventually(() => read.includes('b'), 'the other partition');
  await send(1, 'c');
  await eventually(() => read.includes('c') && failures > 1, 'the other partition goes on');
  assert.deepEqual(read, ['b', 'c']);
  consumer.checkJoined();
  isFailing = false;
  await eventually(() => read.includes('a'), 'the partition is read');
  assert.equal(joins, 1, 'the group is not disturbed');
  assert.equal(
    warn.mock.calls.filter(({ arguments: [where] }) => 'partition' in (where as object)).length,
    1,
    'logged once',
  );
});
