import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createTestDatabase } from '#test/database.ts';
import { fairShare, readOutboxShards } from './shards.ts';

test('relays share the shards without a gap, without an overlap, and evenly', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      (pids, count) => {
        const alive = pids.map(String);
        const shards = Array.from({ length: count }, (_, shard) => shard);
        const shares = alive.map((pid) => fairShare(shards, alive, pid));
        assert.deepEqual(shares.flat().toSorted(), shards);
        const sizes = shares.map((share) => share.length);
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1);
      },
    ),
  );
});

test('a relay that the others cannot see has no share', () => assert.deepEqual(fairShare([0, 1], ['1', '2'], '3'), []));

test('the rows of the outbox have the shards that the relays share', async (t) => {
  const { pool, drop } = await createTestDatabase();
  t.after(drop);
  await pool.query(`INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
    SELECT 't', key, 'e', 't', '/s', '{}' FROM generate_series(1, 500) AS key`);
  const { rows } = await pool.query<{ shard: number }>('SELECT DISTINCT shard FROM millrace.outbox ORDER BY shard');
  const session = await pool.connect();
  const { shards } = await readOutboxShards(session).finally(() => session.release());
  assert.deepEqual(
    shards,
    rows.map(({ shard }) => shard),
  );
});
