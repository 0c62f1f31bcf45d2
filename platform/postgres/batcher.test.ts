import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Batcher, BatcherFull } from './batcher.ts';

test('each item gets its own result, whatever the sizes and the timing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 7 }),
      async (pauses, maxBatch) => {
        let running = 0;
        const batcher = new Batcher<number, number>({
          maxBatch,
          maxQueue: 100,
          run: async (items) => {
            running += 1;
            assert.ok(running <= 1, 'too many batches in flight');
            assert.ok(items.length > 0 && items.length <= maxBatch, 'a batch of the wrong size');
            for (let i = 0; i < (pauses[items[0]!] ?? 0); i++) await new Promise(setImmediate);
            running -= 1;
            return items.map((item) => item * 2);
          },
        });
        const results = await Promise.all(pauses.map((_, i) => batcher.submit(i)));
        assert.deepEqual(
          results,
          pauses.map((_, i) => i * 2),
        );
        await batcher.drain();
      },
    ),
    { numRuns: 50 },
  );
});

test('what arrives while a batch is in flight forms the next one', async () => {
  const sizes: number[] = [];
  let release: () => void = () => {};
  const batcher = new Batcher<number, number>({
    maxBatch: 100,
    maxQueue: 100,
    run: (items) => {
      sizes.push(items.length);
      return new Promise((resolve) => {
        release = () => resolve(items);
      });
    },
  });
  const first = batcher.submit(1);
  await new Promise(setImmediate);
  const rest = [2, 3, 4].map((item) => batcher.submit(item));
  release();
  await first;
  await new Promise(setImmediate);
  release();
  assert.deepEqual(await Promise.all(rest), [2, 3, 4]);
  assert.deepEqual(sizes, [1, 3]);
});

test('a failed batch fails its items and no others', async () => {
  let calls = 0;
  const batcher = new Batcher<number, number>({
    maxBatch: 1,
    maxQueue: 10,
    run: (items) => (calls++ === 0 ? Promise.reject(new Error('broken')) : Promise.resolve(items)),
  });
  const [first, second] = await Promise.allSettled([batcher.submit(1), batcher.submit(2)]);
  assert.equal(first.status, 'rejected');
  assert.deepEqual(second, { status: 'fulfilled', value: 2 });
});

test('a full queue turns work away at once', async () => {
  const batcher = new Batcher<number, number>({
    maxBatch: 1,
    maxQueue: 2,
    run: async (items) => items,
  });
  const accepted = [batcher.submit(1), batcher.submit(2)];
  await assert.rejects(batcher.submit(3), BatcherFull);
  assert.deepEqual(await Promise.all(accepted), [1, 2]);
});
