import assert from 'node:assert/strict';
import { it } from 'node:test';
import { systemClock } from './clock.ts';
import { inTurns } from './turns.ts';

it('long work lets others have their turn, and stops with its signal', async () => {
  let now = 0;
  const clock = { ...systemClock, now: () => now };
  const stopping = new AbortController();
  const done: (number | string)[] = [];
  const work = (item: number) => {
    done.push(item);
    now += 15;
  };
  setImmediate(() => done.push('another'));
  await inTurns([1, 2, 3], work, clock, stopping.signal);
  assert.deepEqual(done, [1, 2, 'another', 3]);
  setImmediate(() => stopping.abort(new Error('stopping')));
  await assert.rejects(inTurns([4, 5, 6, 7], work, clock, stopping.signal), /abort/i);
  assert.deepEqual(done.slice(4), [4, 5]);
});
