import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { emptySlot, slotOf, slotTable, slotToEmpty } from './slots.ts';

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
    const { rows } = await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${slotTable(slot)}`);
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

  it('reckons the slot as the default of the column does', async () => {
    const { rows: columns } = await database.pool.query<{ expression: string }>(
      `SELECT pg_get_expr(adbin, adrelid) AS expression FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
       WHERE adrelid = 'millrace.outbox'::regclass AND attname = 'slot'`,
    );
    const { expression } = columns[0]!;
    assert.ok(expression.includes('now()'), expression);
    const times = Array.from({ length: 200 }, (_, i) => 1.75e12 + i * 3_333_333);
    const { rows } = await database.pool.query<{ slot: number }>(
      `SELECT ${expression.replaceAll('now()', 't')} AS slot FROM unnest($1::timestamptz[]) AS t`,
      [times.map((time) => new Date(time))],
    );
    assert.deepEqual(
      times.map(slotOf),
      rows.map((row) => row.slot),
      `slots.ts does not reckon as platform/outbox/sql does: ${expression}`,
    );
  });

  it('has a table for each slot, and no other', async () => {
    const { rows } = await database.pool.query<{ name: string }>(
      `SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'millrace.outbox'::regclass ORDER BY name`,
    );
    const slots = new Set(Array.from({ length: 100 }, (_, day) => slotOf(day * dayMs)));
    assert.deepEqual(
      [...slots].toSorted().map(slotTable),
      rows.map((row) => row.name),
      'slots.ts has other slots than platform/outbox/sql',
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
    await writer.query(`LOCK TABLE ${slotTable(slot)} IN ROW EXCLUSIVE MODE`);
    assert.equal(await emptySlot(database.pool, now), 'busy');
    await writer.query('COMMIT');
    writer.release();
    assert.equal(await emptySlot(database.pool, now), 'emptied');
    assert.equal(await count(slot), 0);
    assert.equal(await count(slotOf(now)), 1);
  });
});
