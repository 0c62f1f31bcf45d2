import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import { countFailed, sendAgain } from './failed-mails.ts';
import { give, userDeletedEvent, userEvent } from './testing.ts';

test('mails that have failed are sent again: by time and reason, and none of a deleted user', async (t) => {
  const { pool, drop } = await createTestDatabase('notifications');
  t.after(drop);
  await give(
    pool,
    [1, 2, 3, 4, 5].map((id) => userEvent(id)),
  );
  const fail = (userId: number, error: string | null, created: string) =>
    pool.query(
      `WITH failed AS (
         UPDATE notifications SET status = 'FAILED', attempts = 12, last_error = $2, created_at = $3 WHERE user_id = $1 RETURNING id)
       DELETE FROM deliveries WHERE notification_id IN (SELECT id FROM failed)`,
      [userId, error, created],
    );
  await fail(1, '554 Relay access denied', '2026-11-29T10:00:00Z');
  await fail(2, '550 no such user', '2026-11-29T10:00:00Z');
  await fail(3, '554 Relay access denied', '2026-11-28T10:00:00Z');
  await fail(4, '554 Relay access denied', '2026-11-29T10:00:00Z');
  await give(pool, [userDeletedEvent(4, 2)]);

  const since = new Date('2026-11-29T00:00:00Z');
  assert.deepEqual(await countFailed(pool, { since, reason: '' }), [
    { reason: '550 no such user', mails: 1 },
    { reason: '554 Relay access denied', mails: 1 },
  ]);
  assert.equal(await sendAgain(pool, { since, reason: 'relay' }), 1);
  assert.equal(await sendAgain(pool, { since, reason: 'relay' }), 0);
  const { rows } = await pool.query(
    `SELECT n.user_id::int AS user, n.attempts, n.last_error FROM deliveries d JOIN notifications n ON n.id = d.notification_id
     WHERE d.due_at <= now() AND n.status = 'PENDING' ORDER BY 1`,
  );
  assert.deepEqual(rows, [
    { user: 1, attempts: 0, last_error: null },
    { user: 5, attempts: 0, last_error: null },
  ]);
});
