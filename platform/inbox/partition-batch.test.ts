import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { startOf } from './offsets.ts';
import type { Item } from './item.ts';
import { bisect, takeUpTo } from './partition-batch.ts';
import type { PartitionBatch } from './partition-batch.ts';

const item = (offset: number) => ({ message: { offset: BigInt(offset) } }) as Item;
const batchOf = (first: number, length: number): PartitionBatch => ({
  topic: 't',
  partition: 0,
  expected: BigInt(first),
  next: BigInt(first + length),
  items: Array.from({ length }, (_, i) => item(first + i)),
});
const offsets = ({ items }: PartitionBatch) => items.map(({ message }) => message.offset);

describe('takeUpTo', () => {
  it('takes from the front, at least one, as much as fits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 100 }),
        (sizes, limit) => {
          const taken = takeUpTo(sizes, (size) => size, limit);
          const sum = taken.reduce((all, size) => all + size, 0);
          assert.deepEqual(taken, sizes.slice(0, taken.length));
          assert.ok(taken.length === 1 || sum <= limit);
          const following = sizes[taken.length];
          assert.ok(following === undefined || sum + following > limit);
        },
      ),
    );
  });
});

describe('bisect', () => {
  it('leads to every message, in order, with offsets that follow each other', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1_000 }), fc.integer({ min: 1, max: 60 }), (first, length) => {
        const leaves = (whole: PartitionBatch): PartitionBatch[] =>
          whole.items.length === 1 ? [whole] : bisect(whole).flatMap(leaves);
        const whole = batchOf(first, length);
        const parts = leaves(whole);
        assert.deepEqual(parts.flatMap(offsets), offsets(whole));
        let at = whole.expected;
        for (const part of parts) {
          assert.equal(part.expected, at);
          at = part.next;
        }
        assert.equal(at, whole.next);
      }),
    );
  });
});

describe('startOf', () => {
  it('goes on at the stored offset', () => {
    assert.deepEqual(startOf(5n, { low: 0n, high: 9n }), { next: 5n, skipped: 0n });
    assert.deepEqual(startOf(9n, { low: 0n, high: 9n }), { next: 9n, skipped: 0n });
  });
  it('skips what retention has taken', () => {
    assert.deepEqual(startOf(5n, { low: 7n, high: 9n }), { next: 7n, skipped: 2n });
  });
  it('refuses a log that ends before', () => assert.deepEqual(startOf(10n, { low: 0n, high: 9n }), { beyond: 9n }));
});
