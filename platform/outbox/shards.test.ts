import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { fairShare } from './shards.ts';

test('relays share the shards without a gap, without an overlap, and evenly', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 8 }), (pids) => {
      const alive = pids.toSorted((a, b) => a - b);
      const shares = alive.map((pid) => fairShare(alive, pid));
      assert.deepEqual(shares.flat().toSorted(), [0, 1, 2, 3]);
      const sizes = shares.map((share) => share.length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
    }),
  );
});

test('a relay that the others cannot see has no share', () => assert.deepEqual(fairShare([1, 2], 3), []));
