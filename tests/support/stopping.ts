import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Kafka } from '#platform/kafka';
import { eventually } from './eventually.ts';

import { watchResources } from './alive.ts';

/** A part that runs between `start` and `stop`. */
export interface Part {
  start(): unknown;
  stop(): Promise<void>;
}

/** Upper bounds of the time from a start to its stop, in milliseconds: at once, while it connects, while it works. */
const moments = [0, 0, 10, 100, 300, 1_000];
/** Upper bound of the time between the stops of two parts: the second is stopped while the first leaves its group. */
const apartMs = 300;

/**
 * Starts two parts that share the work, stops them at random times, and asserts that they leave no timer, no connection and
 * no request to Kafka.
 * @param make makes one of the two with this Kafka, which counts requests; parts of a process share one Kafka
 */
export async function assertStopsCompletely(kafka: Kafka, make: (kafka: Kafka) => Part | Promise<Part>): Promise<void> {
  await kafka.admin.topics(); // the shared connection stays open
  for (const moment of moments) {
    const left = watchResources();
    const counting = countingRequests(kafka);
    const parts = [await make(counting.kafka), await make(counting.kafka)];
    const [wait, apart] = [Math.random() * moment, Math.random() * apartMs];
    const starting = parts.map((part) => part.start());
    if (moment > 0) await sleep(wait);
    const [first, second] = parts;
    const stopping = first!.stop();
    await sleep(apart);
    await Promise.all([stopping, second!.stop()]);
    const when = `stopped after ${wait} ms, and ${apart} ms later`;
    assert.deepEqual(counting.underWay(), [], when);
    assert.deepEqual(
      left().filter(({ kind }) => kind !== 'connection'),
      [],
      when,
    );
    await eventually(() => left().length === 0, `all connections closed, ${when}`); // both ends close
    await Promise.all(starting);
  }
}

/** The same Kafka, and the requests in flight on the shared connection. */
function countingRequests(kafka: Kafka) {
  const underWay = new Set<string>();
  let requests = 0;
  const admin = new Proxy(kafka.admin, {
    get(target, method: keyof Kafka['admin']) {
      const ask = target[method].bind(target) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        const request = `${method} (${(requests += 1)})`;
        underWay.add(request);
        try {
          return await ask(...args);
        } finally {
          underWay.delete(request);
        }
      };
    },
  });
  return { kafka: { ...kafka, admin }, underWay: () => [...underWay] };
}
