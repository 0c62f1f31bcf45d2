import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import { describe, test } from 'node:test';

import { Supervised, type Running } from './supervised.ts';

/** A part that starts on demand and dies on demand. */
class Fake extends EventEmitter {
  starts = 0;
  stops = 0;
  fails = 0;
  die: (sentence: string) => void = () => undefined;
  said: string[] = [];

  readonly supervised = new Supervised(
    'it',
    () => this.#start(),
    (level, line) => {
      this.said.push(`${level} ${line}`);
      this.emit('said');
    },
  );

  #start(): Promise<Running> {
    this.starts += 1;
    if (this.fails-- > 0) return Promise.reject(new Error('not now'));
    const { promise: died, resolve } = Promise.withResolvers<string>();
    this.die = resolve;
    const stop = (): Promise<void> => {
      this.stops += 1;
      return Promise.resolve();
    };
    return Promise.resolve({ died, stop, kill: () => undefined });
  }
}

describe('Supervised', () => {
  test('restarts a part that dies, also when a start fails', async () => {
    const fake = new Fake();
    await fake.supervised.start();
    fake.fails = 1;
    fake.die('it ended');
    while (!fake.said.includes('info it is running again')) await once(fake, 'said');
    await fake.supervised.stop();
    assert.deepEqual(fake.said, [
      'error it ended',
      'warn it is started again in 0.5 s',
      'error not now',
      'warn it is started again in 1 s',
      'info it is running again',
    ]);
    assert.deepEqual([fake.starts, fake.stops], [3, 1]);
  });

  test('throws when the first start fails', async () => {
    const fake = new Fake();
    fake.fails = 1;
    await assert.rejects(fake.supervised.start(), /not now/);
    await fake.supervised.stop();
    assert.equal(fake.stops, 0);
  });

  test('does not start again once it is stopped', async () => {
    const fake = new Fake();
    await fake.supervised.start();
    fake.die('it ended');
    await fake.supervised.stop();
    assert.equal(fake.starts, 1);
  });

  describe('replaces', () => {
    /** Starts that the test ends, with a record of the events. */
    function controlled() {
      const happened: string[] = [];
      const starts: { replaceOld(): number | undefined; signal: AbortSignal; up(): void; fail(): void }[] = [];
      const events = new EventEmitter<{ start: []; said: [] }>();
      const supervised = new Supervised(
        'it',
        (start) => {
          const { promise, resolve, reject } = Promise.withResolvers<Running>();
          const number = starts.length + 1;
          const stop = (): Promise<void> => Promise.resolve(void happened.push(`stop ${number}`));
          const running: Running = { pid: number, died: new Promise(() => undefined), stop, kill: () => undefined };
          start.signal.addEventListener('abort', () => reject(new Error('aborted')));
          starts.push({
            replaceOld: () => start.replaceOld?.(running)?.pid,
            signal: start.signal,
            up: () => resolve(running),
            fail: () => reject(new Error(`no ${number}`)),
          });
          events.emit('start');
          return promise;
        },
        (_, line) => {
          happened.push(line.replace(/[\d.]+ s$/, 'a while'));
          events.emit('said');
        },
      );
      const started = async (count: number) => {
        while (starts.length < count) await once(events, 'start');
        return starts[count - 1]!;
      };
      const said = async (line: string): Promise<void> => {
        while (!happened.includes(line)) await once(events, 'said');
      };
      return { supervised, happened, started, said };
    }

    async function runningOne() {
      const all = controlled();
      const up = all.supervised.start();
      (await all.started(1)).up();
      await up;
      return all;
    }

    test('one by another, when that asks for it', async () => {
      const { supervised, happened, started, said } = await runningOne();
      supervised.replace();
      const { replaceOld, up } = await started(2);
      assert.deepEqual(happened, []);
      assert.equal(replaceOld(), 1);
      assert.deepEqual(happened, ['stop 1']);
      up();
      await said('it is replaced after a while');
      assert.equal(supervised.pid, 2);
      await supervised.stop();
    });

    test('nothing where the other cannot be started, and tries again with the next call', async () => {
      const { supervised, happened, started, said } = await runningOne();
      supervised.replace();
      (await started(2)).fail();
      await said('it keeps the old process until its source changes');
      assert.equal(supervised.pid, 1);
      supervised.replace();
      const { replaceOld, up } = await started(3);
      replaceOld();
      up();
      await said('it is replaced after a while');
      await supervised.stop();
      assert.deepEqual(happened.toSpliced(2, 1), [
        'no 2',
        'it keeps the old process until its source changes',
        'it is replaced after a while',
        'stop 3',
      ]);
    });

    test('what failed at its start, with the next call alone', async () => {
      const { supervised, started, said } = await runningOne();
      supervised.replace();
      const second = await started(2);
      second.replaceOld();
      second.fail();
      await said('it is down until its source changes');
      assert.equal(supervised.pid, undefined);
      supervised.replace();
      const { replaceOld, up } = await started(3);
      assert.equal(replaceOld(), undefined);
      up();
      await said('it is replaced after a while');
      await supervised.stop();
    });

    test('what is being started, and stops all of it', async () => {
      const { supervised, happened, started } = await runningOne();
      supervised.replace();
      const second = await started(2);
      second.replaceOld();
      supervised.replace();
      const third = await started(3);
      assert.equal(third.replaceOld(), 2);
      assert.ok(second.signal.aborted && !third.signal.aborted);
      await supervised.stop();
      assert.ok(third.signal.aborted);
      assert.deepEqual(new Set(happened), new Set(['stop 1', 'stop 2', 'stop 3']));
    });
  });
});
