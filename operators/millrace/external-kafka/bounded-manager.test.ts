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
  const recorded: string[] = [];
  const create = (name: string) =>
    manager.createTopic({ name, partitions: 1, replicas: 1, config: {} }, async () => void recorded.push(name));
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
});
