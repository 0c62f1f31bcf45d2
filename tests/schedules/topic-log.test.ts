import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { fakeKafka } from '#platform/kafka/testing/fake.ts';
import { randomOf } from '#test/random.ts';
import { SimulatedClock } from './clock.ts';
import { Scheduler } from './scheduler.ts';
import { TopicLog } from './topic-log.ts';
import { topic } from './writer.ts';

/** Deletes a topic with a member, and waits until it is there again. @returns the simulated time then, in milliseconds */
async function recreate(onAssigned: (pause: () => void) => void): Promise<number> {
  const clock = new SimulatedClock(0, () => () => true);
  const random = randomOf(1);
  const signal = AbortSignal.timeout(20_000);
  const scheduler = new Scheduler({ random, clock, signal, onTime: () => Promise.resolve(), onCrash: () => undefined });
  const kafka = fakeKafka({ [topic]: 1 });
  const offsets = () => Promise.resolve(new Map<number, number>());
  const log = new TopicLog({ random, clock, scheduler, kafka, partitions: 1, offsets });
  clock.install();
  try {
    const consumer = kafka.kafka.consumer({
      group: 'group',
      topics: [topic],
      from: 'earliest',
      onAssigned: () => onAssigned(() => consumer.pause({ topic, partition: 0 })),
      onBatch: () => Promise.resolve(true),
    });
    consumer.start();
    scheduler.plan(1_000, () => log.delete());
    let isDeleted = false;
    await scheduler.runUntil(() => (isDeleted ||= log.isAway) && !log.isAway);
    return clock.now;
  } finally {
    clock.uninstall();
  }
}

describe('a topic that somebody deletes', () => {
  it('is created again when its readers have noticed', async () => {
    assert.ok((await recreate(() => undefined)) < 15_000);
  });

  it('is created again though a reader cannot notice, because it fetches nothing', async () => {
    assert.ok((await recreate((pause) => pause())) > 60_000);
  });
});
