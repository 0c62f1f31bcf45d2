import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { Ticker } from './ticker.ts';

const everyMs = 1_000;

/** A ticker on a clock that the test moves; `run` is called with the number of the run. */
function setup(t: TestContext, run: (n: number) => Promise<boolean | void>) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lines: { level: number; failures: number }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line) as (typeof lines)[0]) });
  let runs = 0;
  const ticker = new Ticker({ name: 'test', everyMs, log, run: () => run((runs += 1)) });
  const pass = async (ms: number) => {
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
});
