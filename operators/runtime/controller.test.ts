import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { Controller } from './controller.ts';
import { ApiError } from './errors.ts';
import { RuntimeMetrics } from './metrics.ts';
import { ManualClock, settle } from './testing/manual-clock.ts';
import { memoryLog } from './testing/support.ts';

function create(reconcile: (key: string) => Promise<void>, concurrency: number) {
  const clock = new ManualClock();
  const metrics = new RuntimeMetrics(new Registry());
  const controller = new Controller({ name: 'test', clock, log: memoryLog(), metrics, concurrency, reconcile });
  return { clock, controller };
}

describe('the canary of a controller', () => {
  it('is well while nothing happens, and while reconciles fail', async () => {
    const { clock, controller } = create(() => Promise.reject(new Error('no luck')), 1);
    controller.start();
    controller.enqueue('a');
    for (let minute = 0; minute < 60; minute += 1) {
      await clock.advance(60_000);
      controller.check();
    }
    await controller.stop();
    controller.check();
  });

  it('tells of a reconcile that never ends, also where there is room for others', async () => {
    for (const concurrency of [1, 4]) {
      const stuck = Promise.withResolvers<void>();
      const { clock, controller } = create(() => stuck.promise, concurrency);
      controller.start();
      controller.enqueue('a');
      await clock.advance(110_000);
      controller.check();
      await clock.advance(20_000);
      assert.throws(() => controller.check(), concurrency === 1 ? /no canary/ : /has taken 130 s/);
      stuck.resolve();
      await settle();
      await clock.advance(0);
      controller.check();
      await controller.stop();
    }
  });

  it('does not sing while the process does not lead', async () => {
    const { clock, controller } = create(() => Promise.resolve(), 1);
    controller.enqueue('a');
    await clock.advance(600_000);
    controller.check();
  });
});

describe('a failure of a reconcile', () => {
  it('is told when another attempt has not helped, and at once where none can; a stale cache is none', async () => {
    let failure: Error | undefined;
    const told: unknown[] = [];
    const clock = new ManualClock();
    const controller = new Controller({
      name: 'test',
      clock,
      log: memoryLog(),
      metrics: new RuntimeMetrics(new Registry()),
      reconcile: () => (failure ? Promise.reject(failure) : Promise.resolve()),
      onFailure: (key, error) => {
        told.push([key, (error as Error).message]);
        return Promise.reject(new Error('nobody listens'));
      },
    });
    const attempt = async (error: Error | undefined) => {
      failure = error;
      controller.enqueue('a');
      await clock.advance(0);
      return told.splice(0);
    };
    controller.start();
    const [reset, refusal, stale] = [new Error('reset'), new ApiError(403), new ApiError(409)];
    assert.deepEqual(await attempt(reset), []);
    assert.deepEqual(await attempt(reset), [['a', 'reset']]);
    assert.deepEqual(await attempt(undefined), []);
    assert.deepEqual(await attempt(reset), [], 'the attempt before has succeeded');
    assert.deepEqual(await attempt(undefined), []);
    assert.deepEqual(await attempt(refusal), [['a', refusal.message]]);
    assert.deepEqual(await attempt(stale), []);
    await controller.stop();
  });
});

it('a namespace that cannot be read is left alone until it can', async () => {
  const reconciled: string[] = [];
  const { clock, controller } = create(async (key) => void reconciled.push(key), 1);
  let isUnread = true;
  for (const key of ['shop/orders', 'shop', 'other/orders']) controller.enqueue(key);
  controller.start((namespace) => isUnread && namespace === 'shop');
  await clock.advance(60_000);
  assert.deepEqual(reconciled, ['other/orders']);
  isUnread = false;
  await clock.advance(5_000);
  assert.deepEqual(reconciled.slice(1).toSorted(), ['shop', 'shop/orders']);
  await controller.stop();
});
