import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { emptySlot, slotOf, slotToEmpty } from './slots.ts';

const dayMs = 86_400_000;

describe('slots of the outbox', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  const insert = (slot: number) =>
    database.pool.query(
      `INSERT INTO millrace.outbox (slot, topic, key, event_id, type, source, data) VALUES ($1, 't', '1', 'e', 't', '/s', '{}')`,
      [slot],
    );
  const count = async (slot: number) => {
    const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM millrace.outbox_${slot}`);
    return rows[0]!.n;
  };

  it('never empties the slot of today, of the day before, or of the day after until it is that day', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), (time) => {
        assert.notEqual(slotToEmpty(time), slotOf(time));
        assert.notEqual(slotToEmpty(time), slotOf(time - dayMs));
        assert.equal(slotToEmpty(time), slotOf(time + dayMs));
      }),
    );
  });

  it('reckons the slot as the column does', async () => {
    const times = Array.from({ length: 200 }, (_, i) => 1.75e12 + i * 3_333_333);
    const { rows } = await database.pool.query<{ slot: number }>(
      `SELECT (floor(extract(epoch FROM t) / 86400)::int % 3)::int AS slot FROM unnest($1::timestamptz[]) AS t`,
      [times.map((time) => new Date(time))],
    );
    assert.deepEqual(
      rows.map((row) => row.slot),
      times.map(slotOf),
    );
  });

  it('empties a slot when all of it is published, and not while a writer holds it', async () => {
    const now = Date.now();
    const slot = slotToEmpty(now);
    assert.equal(await emptySlot(database.pool, now), 'empty');
    await insert(slot);
    await insert(slotOf(now));
    assert.equal(await emptySlot(database.pool, now), 'unpublished');
    assert.equal(await count(slot), 1);
    await database.pool.query(`UPDATE millrace.outbox_shards SET xid = pg_snapshot_xmax(pg_current_snapshot())`);
    const writer = await database.pool.connect();
    await writer.query('BEGIN');
    await writer.query(`LOCK TABLE millrace.outbox_${slot} IN ROW EXCLUSIVE MODE`);
    assert.equal(await emptySlot(database.pool, now), 'busy');
    await writer.query('COMMIT');
    writer.release();
    assert.equal(await emptySlot(database.pool, now), 'emptied');
    assert.equal(await count(slot), 0);
    assert.equal(await count(slotOf(now)), 1);
  });
});
