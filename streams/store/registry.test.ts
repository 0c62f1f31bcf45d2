import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import { declare } from '#streams/testing/declare.ts';
import { queryOf } from '#streams/testing/support.ts';
import { registerQueries } from './registry.ts';
import { readLive } from './versions.ts';

const group = 'analytics';
const counting = (name: string, topic: string, size: string) =>
  queryOf(
    name,
    `from: [{ topic: ${topic} }]
keyBy: string(data.userId)
window: { tumbling: ${size} }
select: [{ name: events, count: true }]`,
  );

it('a topic whose offsets Kafka does not tell holds up the changes of its own queries alone', async () => {
  const database = await createTestDatabase('analytics');
  try {
    const { pool } = database;
    await pool.query(
      `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, 'led', 0, 5), ($1, 'leaderless', 0, 5)`,
      [group],
    );
    await declare(pool, group, [counting('one', 'led', '1m'), counting('two', 'leaderless', '1m')]);
    const noLeader = new Error('no leader');
    const marks = async (topic: string) => {
      if (topic === 'leaderless') throw noLeader;
      return { topicId: undefined, watermarks: new Map([[0, { low: 0n, high: 5n }]]) };
    };
    const changed = [counting('one', 'led', '2m'), counting('two', 'leaderless', '2m')];
    const left = await registerQueries(pool, group, { changed, removed: [] }, marks);
    assert.deepEqual([...left], [['two', noLeader]]);
    const sizes = async () => {
      const { live } = await readLive(pool);
      return live.map(({ name, definition }) => `${name} ${/tumbling: (\w+)/.exec(definition!)?.[1]}`).toSorted();
    };
    assert.deepEqual(await sizes(), ['one 2m', 'two 1m']);
    await registerQueries(pool, group, { changed, removed: [] }, () => marks('led'));
    assert.deepEqual(await sizes(), ['one 2m', 'two 2m']);
  } finally {
    await database.drop();
  }
});
