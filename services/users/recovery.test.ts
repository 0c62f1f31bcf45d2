import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transaction } from '#platform/postgres';
import type { TopicEvent } from '#platform/recovery';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
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

/** Takes events back into a database, and shows its users. */
const recoveryOf = ({ pool }: TestDatabase) => ({
  take: (events: TopicEvent[]) =>
    transaction(pool, async (tx) => {
      const writer = usersRecovery.begin(tx);
      await writer.take(events);
      return writer.finish!();
    }),
  known: async () => {
    const { rows } = await pool.query('SELECT id::int AS id, username, version FROM users ORDER BY id');
    return rows.map(({ id, username, version }) => `${id} ${username} ${version}`);
  },
});

test('the last event of each user is its state, whatever names have gone from one to another', async (t) => {
  const database = await createTestDatabase('users');
  t.after(database.drop);
  const { take, known } = recoveryOf(database);
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
  assert.deepEqual(
    await take(later),
    { events: [], conflicts: [], refused: [] },
    'a second time there is nothing to do',
  );
  assert.deepEqual((await take([event(3, 1, 'gus')])).conflicts, ['user-3-1']);
});

test('what the database refuses stays as it was, and holds up no other user', async (t) => {
  const database = await createTestDatabase('users');
  t.after(database.drop);
  const { take, known } = recoveryOf(database);
  await take([event(1, 1, 'ada'), event(2, 1, 'bob'), event(3, 1, 'cyd')]);
  const ofForeigner = (userId: number, username: string) => {
    const { data, ...rest } = event(userId, 2, username);
    return { ...rest, data: { ...(data as object), status: 'ASLEEP' } };
  };
  const { events, refused } = await take([
    ofForeigner(1, 'ann'),
    event(2, 2, 'ada'), // the name is not free, as the other one is refused
    event(3, 2, 'bob'), // nor is this one then
    event(4, 1, 'dot'),
    ofForeigner(5, 'eve'),
  ]);
  assert.deepEqual(refused.map(({ id }) => id).toSorted(), ['user-1-2', 'user-2-2', 'user-3-2', 'user-5-2']);
  assert.match(refused[0]!.reason, /ASLEEP/);
  assert.deepEqual(events, ['user-4-1']);
  assert.deepEqual(await known(), ['1 ada 1', '2 bob 1', '3 cyd 1', '4 dot 1']);
});
