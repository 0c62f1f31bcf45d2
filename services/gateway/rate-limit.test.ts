import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RateLimiter } from './rate-limit.ts';

it('allows a burst, then the average, per client', () => {
  const clock = { now: 0 };
  const limiter = new RateLimiter(2, 4, () => clock.now);
  const passed = (client: string) => limiter.take(client) === undefined;
  assert.deepEqual(
    Array.from({ length: 5 }, () => passed('a')),
    [true, true, true, true, false],
  );
  assert.equal(passed('b'), true);
  assert.equal(limiter.take('a')?.status, 429);
  assert.equal(limiter.take('a')?.headers['Retry-After'], '1');
  clock.now += 500;
  assert.equal(passed('a'), true);
  assert.equal(passed('a'), false);
});
