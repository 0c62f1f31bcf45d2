import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import { createNextTables, switchTables } from './tables.ts';

const versions = { tables: ['parcels'], group: 'g', building: 'g.v2', topics: ['t'] };

test('a new version takes the place of the one in use, and keeps its topic, where both have read the same', async (t) => {
  const { pool, drop } = await createTestDatabase();
  t.after(drop);
  await pool.query('CREATE TABLE parcels (id bigint PRIMARY KEY)');
  const attempt = async (used: [number, string | null] | undefined, building: [number, string] | undefined) => {
    await pool.query('DELETE FROM millrace.inbox_offsets');
    for (const [group, at] of [['g', used] as const, ['g.v2', building] as const])
      if (at)
        await pool.query(
          `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id)
           VALUES ($1, 't', 0, $2, $3)`,
          [group, ...at],
        );
    try {
      return await transaction(pool, async (tx) => {
        await createNextTables(tx, versions.tables);
        if (!(await switchTables(tx, versions, () => Promise.resolve()))) return 'behind';
        const { rows } = await tx.query<{ place: string }>(
          "SELECT concat_ws(' ', consumer_group, next_offset, topic_id) AS place FROM millrace.inbox_offsets",
        );
        return rows.map(({ place }) => place).join();
      });
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  assert.equal(await attempt([5, 'a'], [5, 'a']), 'g 5 a');
  assert.equal(await attempt([5, null], [5, 'a']), 'g 5 a');
  assert.equal(await attempt([5, 'a'], [4, 'a']), 'behind');
  assert.equal(await attempt([5, 'a'], undefined), 'behind');
  // the version in use may begin to read meanwhile: nothing of it is held
  assert.equal(await attempt(undefined, [0, 'a']), 'behind');
  assert.equal(await attempt(undefined, undefined), 'behind');
  for (const [used, building] of [
    [
      [5, 'b'],
      [5, 'a'],
    ],
    [
      [5, 'b'],
      [4, 'a'],
    ],
    [
      [5, 'truncated a'],
      [5, 'a'],
    ],
    [
      [5, 'a'],
      [6, 'a'],
    ],
  ] as [[number, string], [number, string]][])
    assert.equal(
      await attempt(used, building),
      'ERR_PROJECTION_TOPIC_CHANGED',
      `${used.join(' ')} and ${building.join(' ')}`,
    );
});
