import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { randomOf } from '#test/random.ts';
import { currentActor, runAs } from './actor.ts';
import type { Fate } from './call.ts';
import { SimulatedClock } from './clock.ts';
import { Scheduler } from './scheduler.ts';

const lost = () => new Error('lost');

/** Actors that call a server which writes down what it does; each says how its calls ended. */
async function play({
  seed = 1,
  fate,
  calls = 3,
  until = 10_000,
  signal = new AbortController().signal,
}: {
  seed?: number;
  fate?: Fate;
  calls?: number;
  until?: number;
  signal?: AbortSignal;
}) {
  const clock = new SimulatedClock(0, () => {
    const actor = currentActor();
    return () => actor?.isAlive !== false;
  });
  const crashed: string[] = [];
  const scheduler = new Scheduler({
    random: randomOf(seed),
    clock,
    signal,
    onTime: () => Promise.resolve(),
    onCrash: ({ name }) => crashed.push(name),
  });
  const done: string[] = [];
  const learned: string[] = [];
  let open = 2;
  clock.install();
  try {
    if (fate)
      scheduler.outage = {
        until: Number.POSITIVE_INFINITY,
        fateOf: ({ what }) => ({ fate: what.endsWith('1') ? fate : 'go' }),
      };
    for (const name of ['a', 'b']) {
      const actor = { name, isAlive: true };
      void runAs(actor, async () => {
        for (let i = 0; i < calls; i += 1) {
          const what = `${name}${i}`;
          const effect = async () => void done.push(what);
          const call = scheduler.call({
            what,
            server: 'Kafka',
            effect,
            lose: lost,
            timeoutMs: 60_000,
            isRepeatable: true,
          });
          await call.then(
            () => learned.push(what),
            (error: Error) => learned.push(`${what} ${error.message}`),
          );
          await sleep(50);
        }
        open -= 1;
      });
    }
    scheduler.plan(until, () => {
      open = 0;
    });
    await scheduler.runUntil(() => open === 0 && !scheduler.isTrailing);
    return { done, learned, crashed, now: clock.now };
  } finally {
    clock.uninstall();
  }
}

describe('the scheduler', () => {
  it('draws the same order for a seed, and others for others', async () => {
    const orders = await Promise.resolve([1, 1, 2, 3, 4, 5]).then(async (seeds) => {
      const all: string[] = [];
      for (const seed of seeds) all.push((await play({ seed })).done.join());
      return all;
    });
    assert.equal(orders[0], orders[1]);
    assert.ok(new Set(orders).size > 2, String(orders));
  });

  it('waits for no real time', async () => {
    const since = performance.now();
    const { now } = await play({ calls: 100 });
    assert.ok(now > 5_000, `${now} ms are simulated`);
    assert.ok(performance.now() - since < 2_500);
  });

  it('ends with its signal, however long the calls go on', async () => {
    const endless = { calls: Number.POSITIVE_INFINITY, until: Number.POSITIVE_INFINITY };
    await assert.rejects(play({ ...endless, signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
  });

  const fates: Partial<Record<Fate, { effects: number; learns: string }>> = {
    lost: { effects: 0, learns: 'a1 lost' },
    unanswered: { effects: 1, learns: 'a1 lost' },
    late: { effects: 1, learns: 'a1 lost' },
    repeated: { effects: 2, learns: 'a1' },
  };
  for (const [fate, { effects, learns }] of Object.entries(fates))
    it(`knows calls that are ${fate}`, async () => {
      const { done, learned } = await play({ fate: fate as Fate });
      assert.equal(done.filter((what) => what === 'a1').length, effects);
      assert.ok(learned.includes(learns), String(learned));
      assert.ok(learned.includes('a2'), 'the actor goes on');
    });

  for (const [fate, effects] of [
    ['crash-before', 0],
    ['crash-after', 1],
  ] as const)
    it(`lets nothing of an actor happen after a ${fate}`, async () => {
      const { done, learned, crashed } = await play({ fate });
      assert.deepEqual(crashed.toSorted(), ['a', 'b']);
      assert.equal(done.filter((what) => what.endsWith('1')).length, 2 * effects);
      assert.deepEqual(learned.toSorted(), ['a0', 'b0']);
    });
});
