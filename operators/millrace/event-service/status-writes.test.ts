import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { ManualClock } from '#runtime/testing/manual-clock.ts';
import { eventually } from '#test/eventually.ts';
import { kafkaTopics, kafkaUsers } from '../api/kinds.ts';
import { eventServiceWorld } from '../testing/event-services.ts';
import type { EventServiceWorld } from '../testing/event-services.ts';
import { strimziAnswers, strimziSays } from '../testing/strimzi.ts';
import { namespace } from '../testing/world.ts';

describe('the status of a service whose lag moves', () => {
  const clock = new ManualClock();
  let world: EventServiceWorld;
  let lag = 10_000;
  let growth = 0;
  let reads = 0;

  before(async () => {
    const lagReader = {
      read: () => {
        reads += 1;
        lag += growth;
        return Promise.resolve({ lag, partitions: new Map([['order-events', 6]]) });
      },
    };
    world = await eventServiceWorld(() => ({ lagReader }), clock);
    world.declare('orders', {
      kafka: { cluster: 'millrace' },
      consumes: [{ group: 'g', topics: ['order-events'], database: 'orders' }],
    });
    for (const [type, name] of [
      [kafkaTopics, 'g.dead-letters'],
      [kafkaUsers, 'orders'],
    ] as const) {
      await eventually(() => world.server.find(type, namespace, name), `${name} is created`);
      strimziAnswers(world.server, type, { namespace, name }, strimziSays.ready);
    }
    await eventually(async () => {
      await clock.advance(1_000); // a stale cache is tried again
      return world.condition('orders', 'Ready')?.status === 'True';
    }, 'it is ready');
    await eventually(isQuiet, 'it is quiet');
  });
  after(() => world.stop());

  const statusWrites = () => world.server.writes.filter(({ path }) => path.endsWith('/orders/status')).length;
  /** Waits until no reconcile is under way, and the operator has seen what it has written. */
  const isQuiet = async () => {
    const known = world.context.eventServices.store.get(`${namespace}/orders`)?.metadata.resourceVersion;
    if (known !== world.service('orders')!.metadata.resourceVersion) return false;
    const lines = await world.metricLines('operator_reconciles_total{');
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0) >= reads;
  };
  /** Lets time pass. @returns how often the status was written, and how often the lag was read */
  const pass = async (seconds: number) => {
    const [writesBefore, readsBefore] = [statusWrites(), reads];
    for (let second = 0; second < seconds && statusWrites() - writesBefore < 50; second += 1) {
      await clock.advance(1_000);
      await eventually(isQuiet, 'it is quiet');
    }
    return { written: statusWrites() - writesBefore, read: reads - readsBefore };
  };

  it('is written every 10 s, and its own writes start no reconcile', async () => {
    growth = 12_345;
    const { written, read } = await pass(60);
    assert.ok(written >= 3 && written <= 7, `${written} writes in a minute`);
    assert.ok(read <= 7, `${read} reconciles in a minute`);
  });

  it('is written at most that often, whatever else starts a reconcile', async () => {
    await pass(10);
    const writesBefore = statusWrites();
    for (let change = 0; change < 20; change += 1) {
      const readsBefore = reads;
      world.controller.enqueue(`${namespace}/orders`);
      await eventually(() => reads > readsBefore, 'it is reconciled');
      await eventually(isQuiet, 'it is quiet');
    }
    assert.ok(statusWrites() - writesBefore <= 1, `${statusWrites() - writesBefore} writes`);
  });

  it('is not written where only the last digits move, nor where nothing does', async () => {
    lag = 123_000;
    growth = 7;
    await pass(30);
    assert.equal(world.service('orders')!.status!.lag, 120_000);
    assert.equal((await pass(60)).written, 0);
    growth = 0;
    assert.equal((await pass(60)).written, 0);
  });
});
