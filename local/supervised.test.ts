import assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import { describe, test } from 'node:test';

import { Supervised, type Running } from './supervised.ts';

/** Something that is started on demand and dies when told to. */
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
  test('starts what dies again, also when a start fails', async () => {
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
});
