import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffMs } from './backoff.ts';

const pauses = (failures: number[], random?: number) =>
  failures.map((n) =>
    backoffMs(n, { firstMs: 100, maxMs: 1_000, ...(random !== undefined && { jitter: 0.5 }) }, random),
  );

test('a pause doubles with each failure, from the first up to the longest', () => {
  assert.deepEqual(pauses([0, 1, 2, 3, 4, 5, 10_000]), [100, 100, 200, 400, 800, 1_000, 1_000]);
});

test('jitter takes at most its part of a pause away', () => {
  assert.deepEqual(pauses([1, 2, 9], 0), [50, 100, 500]);
  assert.deepEqual(pauses([1, 2, 9], 1), [100, 200, 1_000]);
});
