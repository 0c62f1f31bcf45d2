import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Repeats } from './repeats.ts';

test('a line is written once in 30 s, and then with the number of those that were not', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const repeats = new Repeats();
  assert.deepEqual(repeats.note('away'), { repeated: undefined });
  for (now = 1; now <= 1_000; now += 1) assert.equal(repeats.note('away'), undefined);
  assert.deepEqual(repeats.note('another'), { repeated: undefined });
  now = 29_999;
  assert.equal(repeats.note('away'), undefined);
  now = 30_000;
  assert.deepEqual(repeats.note('away'), { repeated: 1_001 });
  now = 90_000;
  assert.deepEqual(repeats.note('away'), { repeated: undefined });
});

test('the memory is bounded: of many lines the oldest is forgotten', () => {
  const repeats = new Repeats();
  for (let i = 0; i < 200; i += 1) repeats.note(`line ${i}`);
  assert.equal(repeats.note('line 0'), undefined);
  repeats.note('one more');
  assert.equal(repeats.note('line 1'), undefined);
  assert.deepEqual(repeats.note('line 0'), { repeated: undefined });
  assert.equal(repeats.note(`line 2`), undefined);
  const long = 'x'.repeat(500);
  repeats.note(`${long}a`);
  assert.equal(repeats.note(`${long}b`), undefined, 'of a long line only the beginning is kept');
});
