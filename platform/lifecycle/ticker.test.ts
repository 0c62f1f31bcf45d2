import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { Ticker } from './ticker.ts';

const everyMs = 1_000;

/** A ticker on a clock that the test moves; `run` is called with the number of the run. */
function setup(t: TestContext, run: (n: number) => Promise<boolean | void>, period = everyMs) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const lines: { level: number; failures: number }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line) as (typeof lines)[0]) });
  let runs = 0;
  const ticker = new Ticker({ name: 'test', everyMs: period, log, run: () => run((runs += 1)) });
  const pass = async (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
    await setImmediate();
  };
  return { ticker, lines, pass, runs: () => runs };
}

describe('Ticker', () => {
  it('runs at the start, and again each time the pause is over', async (t) => {
    const { ticker, pass, runs } = setup(t, () => Promise.resolve());
    ticker.start();
    await pass(0);
    assert.equal(runs(), 1);
    await pass(everyMs - 1);
    assert.equal(runs(), 1);
    await pass(1);
    assert.equal(runs(), 2);
    await ticker.stop();
    await pass(10 * everyMs);
    assert.equal(runs(), 2, 'none after the stop');
  });

  it('runs again at once while more is waiting, and when it is woken', async (t) => {
    const { ticker, pass, runs } = setup(t, (n) => Promise.resolve(n < 5));
    ticker.start();
    await pass(0);
    assert.equal(runs(), 5);
    ticker.wake();
    await pass(0);
    assert.equal(runs(), 6);
    await ticker.stop();
  });

  it('runs once more where it is woken during a run, never twice at a time', async (t) => {
    let going = 0;
    const ends: (() => void)[] = [];
    const { ticker, pass, runs } = setup(t, async () => {
      assert.equal((going += 1), 1);
      await new Promise<void>((end) => ends.push(end));
      going -= 1;
    });
    ticker.start();
    await pass(0);
    ticker.wake();
    ticker.wake();
    await pass(everyMs);
    assert.equal(runs(), 1);
    ends.shift()!();
    await pass(0);
    assert.equal(runs(), 2);
    ends.shift()!();
    await pass(everyMs - 1);
    assert.equal(runs(), 2);
    await ticker.stop();
  });

  it('warns of the first failure in a row, waits longer with each, and says when it works again', async (t) => {
    const { ticker, lines, pass, runs } = setup(t, (n) =>
      n === 4 ? Promise.resolve() : Promise.reject(new Error(`run ${n}`)),
    );
    ticker.start();
    for (const [ms, expected] of [
      [0, 1],
      [1_000, 2],
      [1_000, 3],
      [1_999, 3],
      [1, 4],
      [1_000, 5],
    ] as const) {
      await pass(ms);
      assert.equal(runs(), expected);
    }
    assert.deepEqual(
      lines.map(({ level, failures }) => [level, failures]),
      [
        [40, 1],
        [20, 2],
        [20, 3],
        [30, 3],
        [40, 1],
      ],
    );
    await ticker.stop();
  });

  it('lets the run under way end when it is stopped, and blames no failure on it', async (t) => {
    const end = Promise.withResolvers<boolean>();
    const { ticker, lines, pass, runs } = setup(t, () => end.promise);
    ticker.start();
    await pass(0);
    let isStopped = false;
    const stopping = ticker.stop().then(() => (isStopped = true));
    await pass(everyMs);
    assert.equal(isStopped, false);
    end.reject(new Error('cut off by the stop'));
    await stopping;
    assert.equal(runs(), 1);
    assert.deepEqual(
      lines.map(({ level }) => level),
      [20],
    );
  });

  it('says that it fails when no run has succeeded for 15 s, until one does', async (t) => {
    let isAway = false;
    const { ticker, pass } = setup(t, () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve()));
    ticker.check();
    ticker.start();
    await pass(0);
    await pass(10 * 60_000);
    ticker.check();
    isAway = true;
    await pass(everyMs);
    await pass(14_999);
    ticker.check();
    await pass(1);
    assert.throws(() => ticker.check(), { code: 'ERR_WORK_STUCK', message: '"test" has not succeeded for 15 s: away' });
    isAway = false;
    await pass(10_000);
    ticker.check();
    await ticker.stop();
  });

  it('says that a run does not come to an end, but not once it is stopped', async (t) => {
    const end = Promise.withResolvers<void>();
    const { ticker, pass } = setup(t, () => end.promise);
    ticker.start();
    await pass(0);
    await pass(15_000);
    assert.throws(
      () => ticker.check(),
      /^PlatformError: "test" has not succeeded for 15 s: it does not come to an end$/,
    );
    const stopping = ticker.stop();
    ticker.check();
    end.resolve();
    await stopping;
  });

  it('has two rounds to succeed where these take longer', async (t) => {
    const { ticker, pass } = setup(t, () => Promise.reject(new Error('away')), 60_000);
    ticker.start();
    await pass(0);
    await pass(119_999);
    ticker.check();
    await pass(1);
    assert.throws(() => ticker.check(), /120 s/);
    await ticker.stop();
  });
});
