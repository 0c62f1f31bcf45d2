import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { SendFailed } from '../errors.ts';
import { fakeKafka } from './fake.ts';
import { testConsumers } from './consumer-conformance.ts';
import { testProducers } from './producer-conformance.ts';

testProducers('the fake', async () => {
  const topics: Record<string, number> = {};
  let made = 0;
  const { kafka, sent, deleteTopic } = fakeKafka(topics);
  return {
    kafka,
    async newTopic(partitions, name = `topic-${(made += 1)}`) {
      topics[name] = partitions;
      return name;
    },
    async deleteTopic(topic) {
      deleteTopic(topic);
    },
    read: (topic, count) =>
      eventually(() => {
        const own = sent.filter((one) => one.topic === topic);
        return own.length >= count && own.map(({ partition, message }) => ({ partition, ...message }));
      }, `${count} messages`),
  };
});

testConsumers('the fake', async () => {
  const topics: Record<string, number> = {};
  const { kafka } = fakeKafka(topics);
  return {
    kafka,
    async newTopic(partitions) {
      const name = `topic-${Object.keys(topics).length}`;
      topics[name] = partitions;
      return name;
    },
  };
});

it('the fake fails the sends that the test says, and has nothing of them', async () => {
  const { kafka, sent, failWith } = fakeKafka({ t: 2 });
  const producer = await kafka.producer();
  const message = { key: 'k', value: Buffer.from('v'), headers: {} };
  failWith((topic, partition) => (partition === 1 ? `${topic} is not well` : undefined));
  await producer.send('t', 0, [message]);
  await assert.rejects(
    producer.send('t', 1, [message]),
    (error) => error instanceof SendFailed && error.message.includes('t is not well'),
  );
  failWith(undefined);
  await producer.send('t', 1, [message]);
  assert.deepEqual(
    sent.map(({ partition }) => partition),
    [0, 1],
  );
});
