import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transaction } from '#platform/postgres';
import type { Taken, TopicEvent } from '#platform/recovery';
import { createTestDatabase } from '#test/database.ts';
import { usersRecovery } from './recovery.ts';

const time = '2026-11-29T02:00:00.000Z';
const event = (userId: number, version: number, username?: string): TopicEvent => ({
  id: `user-${userId}-${version}`,
  type: username === undefined ? 'user.deleted' : version === 1 ? 'user.created' : 'user.updated',
  source: '/users',
  subject: String(userId),
  time: Date.parse(time),
  data:
    username === undefined
      ? { userId, version, deletedAt: time }
      : {
          userId,
          version,
          username,
          email: `${username}@example.com`,
          firstName: 'A',
          lastName: 'B',
          status: 'ACTIVE',
          createdAt: time,
          updatedAt: time,
        },
  topic: 'user-events',
  partition: 0,
  offset: 0n,
  key: String(userId),
  traceparent: undefined,
  value: Buffer.from(''),
});

test('the last event of each user is its state, whatever names have gone from one to another', async (t) => {
  const { pool, drop } = await createTestDatabase('users');
  t.after(drop);
  const take = (events: TopicEvent[]): Promise<Taken> =>
    transaction(pool, async (tx) => {
      const writer = usersRecovery.begin(tx);
      await writer.take(events);
      return writer.finish!();
    });
  const known = async () => {
    const { rows } = await pool.query('SELECT id::int AS id, username, version FROM users ORDER BY id');
    return rows.map(({ id, username, version }) => `${id} ${username} ${version}`);
  };
  const first = [event(1, 1, 'ada'), event(2, 1, 'bob'), event(3, 1, 'cyd'), event(4, 1, 'dot')];
  await take(first);
  const later = [
    ...first,
    event(4, 2),
    event(5, 1, 'dot'), // a name that is free again
    event(1, 2, 'eve'),
    event(2, 2, 'ada'),
    event(1, 3, 'bob'), // they have changed their names
    event(6, 1, 'fay'),
    event(6, 2),
  ];
  const { events, conflicts } = await take(later);
  assert.deepEqual(events.toSorted(), ['user-1-3', 'user-2-2', 'user-4-2', 'user-5-1']);
  assert.deepEqual(conflicts, []);
  assert.deepEqual(await known(), ['1 bob 3', '2 ada 2', '3 cyd 1', '5 dot 1']);
  assert.deepEqual(await take(later), { events: [], conflicts: [] }, 'a second time there is nothing to do');
  assert.deepEqual((await take([event(3, 1, 'gus')])).conflicts, ['user-3-1']);
});
