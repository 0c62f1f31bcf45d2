import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { it } from 'node:test';

import type { KafkaManager } from '#platform/kafka';
import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { SilentServers } from '../silent-servers.ts';
import { boundedManager } from './bounded-manager.ts';

it('a topic that Kafka is slow to make is left alone until that ends, and makes no other wait', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const made = { id: undefined, partitions: 1, replicas: 1 };
  const slow = Promise.withResolvers<typeof made>();
  const asked: string[] = [];
  const kafka = {
    topic: () => Promise.resolve(undefined),
    createTopic({ name }: { name: string }) {
      asked.push(name);
      return name === 'slow' ? slow.promise : Promise.resolve(made);
    },
  } as unknown as KafkaManager;
  const clock = new ManualClock();
  const stop = new AbortController();
  const bounds = { address: 'kafka:9092', silent: new SilentServers(clock), signal: stop.signal };
  const manager = boundedManager(kafka, bounds);
  const [begun, recorded]: [string[], string[]] = [[], []];
  const create = (name: string) =>
    manager.createTopic(
      { name, partitions: 1, replicas: 1, config: {} },
      async () => void begun.push(name),
      async () => void recorded.push(name),
    );
  const isSlow = { reason: 'KafkaSlow', message: 'Kafka has not changed the topic slow in 30000 ms' };

  const late = assert.rejects(create('slow'), isSlow);
  await turn();
  t.mock.timers.tick(30_000);
  await late;
  assert.equal(await manager.topic('slow'), undefined, 'it answers');
  assert.equal(await create('another'), made);
  await assert.rejects(create('slow'), isSlow);
  assert.deepEqual(asked, ['slow', 'another']);
  slow.resolve(made);
  await clock.advance(5_000);
  assert.deepEqual(recorded, ['another', 'slow'], 'nobody waits for it any more, and it is known whose it is');
  assert.equal(await create('slow'), made);
  stop.abort(new Error('the lease is lost'));
  await assert.rejects(manager.topic('slow'), /the lease is lost/);
  await assert.rejects(create('more'), /the lease is lost/);
  assert.deepEqual(asked, ['slow', 'another', 'slow']);
  assert.deepEqual(begun, asked, 'what Kafka is not asked for is not begun either');
});

it('a topic that Kafka refuses to make is said to be none, and nothing where nobody knows who has made it', async () => {
  const answers: (() => Promise<undefined>)[] = [
    () => Promise.resolve(undefined),
    () => Promise.reject(Object.assign(new Error('refused'), { type: 'POLICY_VIOLATION' })),
    () => Promise.reject(Object.assign(new Error('refused'), { type: 'TOPIC_AUTHORIZATION_FAILED' })),
    () => Promise.reject(Object.assign(new Error('no answer'), { type: 'REQUEST_TIMED_OUT' })),
    () => Promise.reject(new Error('socket hang up')),
  ];
  const said: unknown[] = [];
  for (const answer of answers) {
    const kafka = { createTopic: answer } as unknown as KafkaManager;
    const silent = new SilentServers(new ManualClock());
    const manager = boundedManager(kafka, { address: 'kafka:9092', silent, signal: new AbortController().signal });
    const told: unknown[] = [];
    const topic = { name: 'events', partitions: 1, replicas: 1, config: {} };
    const begin = () => Promise.resolve();
    await manager.createTopic(topic, begin, async (made) => void told.push(made)).catch(() => undefined);
    said.push(told);
  }
  assert.deepEqual(said, [[], [undefined], [undefined], [], []]);
});
