import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createTestDatabase } from '#test/database.ts';
import { advanceAndRead } from './read.ts';
import { announce, fairShare, readOutboxShards, releaseShards, renewShards, takeOver } from './shards.ts';
import { outboxTable } from './write.ts';

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

test('a shard is of one relay until its lease is over, and only that one stores its cursor', async (t) => {
  const { pool, drop } = await createTestDatabase();
  const session = await pool.connect();
  t.after(() => {
    session.release();
    return drop();
  });
  const share = [0, 1];
  const owned = async (owner: string) => {
    const { cursors } = await renewShards(session, owner, { share, keep: [] });
    return cursors.map(({ shard }) => shard).toSorted();
  };
  const stored = async (owner: string, id: number) => {
    const moved = share.map((shard) => ({ shard, xid: 1, id }));
    const request = { source: outboxTable, owner, moved, cursors: [], ahead: [], holdBack: true };
    return (await advanceAndRead(session, request)).moved.toSorted();
  };
  assert.deepEqual(await owned('first'), share);
  assert.deepEqual(await owned('second'), [], 'the first has leased them');
  assert.deepEqual(await stored('second', 7), []);
  assert.deepEqual(await stored('first', 5), share);
  await pool.query(
    `UPDATE millrace.outbox_shards SET lease_until = clock_timestamp() - interval '1 ms' WHERE shard = 1`,
  );
  assert.deepEqual(await owned('second'), [1], 'its lease is over');
  assert.deepEqual(await stored('first', 6), [0], 'the other one is lost');
  await releaseShards(session, 'first');
  assert.deepEqual(await owned('second'), share);
  const { rows } = await pool.query<{ id: string }>(
    'SELECT id FROM millrace.outbox_shards WHERE shard = ANY($1) ORDER BY shard',
    [share],
  );
  assert.deepEqual(
    rows.map(({ id }) => Number(id)),
    [6, 5],
    'each cursor is where its owner has put it',
  );
});

test('the next session of a relay has its shards at once but for those that are locked, and the one before changes no cursor', async (t) => {
  const { pool, drop } = await createTestDatabase();
  const [session, hung] = [await pool.connect(), await pool.connect()];
  t.after(() => {
    for (const client of [session, hung]) client.release(true);
    return drop();
  });
  const share = [0, 1, 2, 3];
  const owned = async (owner: string) => {
    const { cursors } = await renewShards(session, owner, { share, keep: [] });
    return cursors.map(({ shard }) => shard).toSorted();
  };
  assert.deepEqual(await owned('relay/1'), share);
  await pool.query(
    `UPDATE millrace.outbox_shards SET lease_until = clock_timestamp() - interval '1 ms' WHERE shard = 2`,
  );
  await session.query(`SET lock_timeout = '2s'`);
  await hung.query('BEGIN');
  await hung.query('SELECT FROM millrace.outbox_shards WHERE shard = 2 FOR UPDATE');
  await takeOver(session, { from: ['relay/1'], to: 'relay/2' });
  assert.deepEqual(await owned('relay/2'), [0, 1, 3], 'it does not wait for the locked shard');
  await hung.query('COMMIT');
  const moved = share.map((shard) => ({ shard, xid: 1, id: 7 }));
  const request = { source: outboxTable, owner: 'relay/1', moved, cursors: [], ahead: [], holdBack: true };
  assert.deepEqual((await advanceAndRead(hung, request)).moved, [2], 'it has the shard alone that it had locked');
  assert.deepEqual(await owned('relay/2'), share, 'its lease is over');
});

test('a relay counts once among the others, whatever sessions it has had, and waits for none of these', async (t) => {
  const { pool, drop } = await createTestDatabase();
  const [session, hung] = [await pool.connect(), await pool.connect()];
  t.after(() => {
    for (const client of [session, hung]) client.release(true);
    return drop();
  });
  const seen = (relay: string, n: number) => announce(session, { relay, owner: `${relay}/${n}` });
  assert.deepEqual(await seen('b', 1), ['b/1']);
  assert.deepEqual(await seen('a', 1), ['a/1', 'b/1']);
  await hung.query('BEGIN');
  await hung.query('SELECT FROM millrace.outbox_relays FOR UPDATE');
  assert.deepEqual(await seen('b', 2), ['a/1', 'b/2']);
  await hung.query('COMMIT');
  assert.deepEqual(await seen('b', 2), ['a/1', 'b/2']);
  assert.deepEqual(await seen('a', 2), ['a/2', 'b/2'], 'those of before are gone');
});
