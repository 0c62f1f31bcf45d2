import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { decodeEvent } from '#contracts/index.ts';
import { encodeHeaders } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { deleteOld, tidy } from './retention.ts';
import { give, orderEvent, rows, userDeletedEvent, userEvent } from './testing.ts';

const statusChanged = {
  orderId: 1,
  userId: 1,
  status: 'CONFIRMED',
  previousStatus: 'PENDING',
  totalAmount: 5,
  version: 2,
  createdAt: '2026-01-01T00:00:00.000Z',
  changedAt: '2026-01-01T00:00:01.000Z',
};

describe('intake', () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase('notifications');
  });
  after(() => database.drop());
  beforeEach(() => database.pool.query('TRUNCATE notifications, deliveries, recipients RESTART IDENTITY'));

  const count = async (table: string) =>
    (await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]!.n;

  const recipient = async (userId: number) =>
    (
      await database.pool.query('SELECT email, first_name, version, deleted_at FROM recipients WHERE user_id = $1', [
        userId,
      ])
    ).rows[0] as { email: string | null; first_name: string | null; version: number; deleted_at: Date | null };

  it('makes one notification and one delivery per event, even if it is repeated', async () => {
    const events = [userEvent(1), orderEvent(1, 1), orderEvent(2, 1), orderEvent(1, 1)];
    await give(database.pool, events);
    await give(database.pool, events);
    await give(database.pool, [orderEvent(2, 1), orderEvent(3, 1)]);
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.event_id),
      ['user-1-1', 'order-1-3', 'order-2-3', 'order-3-3'],
    );
    assert.equal(await count('deliveries'), 4);
  });

  it('makes one for each source of an event id, and knows its own events of before by the id', async () => {
    const decoded = (source: string) =>
      decodeEvent({
        topic: 'order-events',
        partition: 0,
        offset: 0n,
        key: '1',
        value: Buffer.from(JSON.stringify(statusChanged)),
        headers: encodeHeaders({
          id: 'order-1-2',
          type: 'order.status-changed',
          source,
          subject: '1',
          time: new Date(),
        }),
      });
    await database.pool.query(
      `INSERT INTO notifications (user_id, event_id, type, subject, body) VALUES (1, 'order-1-2', 'order.status-changed', '', '')`,
    );
    await give(database.pool, [decoded('/orders'), decoded('/shop'), decoded('/elsewhere'), decoded('/shop')]);
    await give(database.pool, [decoded('/shop'), decoded('/elsewhere')]);
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.event_id),
      ['order-1-2', '["/shop","order-1-2"]', '["/elsewhere","order-1-2"]'],
    );
    assert.equal(await count('deliveries'), 2);
  });

  it('makes one if two consumers get the event at once', async () => {
    const events = Array.from({ length: 200 }, (_, i) => orderEvent(i + 1, 1));
    await Promise.all([give(database.pool, events), give(database.pool, events), give(database.pool, events)]);
    assert.equal(await count('notifications'), 200);
    assert.equal(await count('deliveries'), 200);
  });

  it('leaves nothing if the transaction rolls back', async () => {
    const client = await database.pool.connect();
    try {
      await client.query('BEGIN');
      const { applyEvents } = await import('./intake.ts');
      await applyEvents(client, [userEvent(1), orderEvent(1, 1)], Number.POSITIVE_INFINITY);
      await client.query('ROLLBACK');
    } finally {
      client.release();
    }
    for (const table of ['notifications', 'deliveries', 'recipients']) assert.equal(await count(table), 0);
  });

  it('keeps the newest state of a user when older events come late', async () => {
    await give(database.pool, [userEvent(1, 3, 'Third')]);
    await give(database.pool, [userEvent(1, 2, 'Second')]);
    assert.equal((await recipient(1)).first_name, 'Third');
    await give(database.pool, [userEvent(1, 4, 'Fourth'), userDeletedEvent(1, 5)]);
    await give(database.pool, [userEvent(1, 4, 'Fourth')]);
    const { email, first_name, version, deleted_at } = await recipient(1);
    assert.deepEqual({ email, first_name, version }, { email: null, first_name: null, version: 5 });
    assert.ok(deleted_at);
  });

  it('erases the addresses of a deleted user', async () => {
    await give(database.pool, [userEvent(1), userEvent(2)]);
    await database.pool.query(
      `UPDATE notifications SET status = 'SENT', recipient = 'user' || user_id || '@example.com'`,
    );
    await give(database.pool, [userDeletedEvent(1, 2)]);
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.recipient),
      [null, 'user2@example.com'],
    );
    await database.pool.query(`UPDATE notifications SET recipient = 'written after' WHERE user_id = 1`);
    await tidy(database.pool, 90);
    assert.equal((await rows(database.pool))[0]?.recipient, null);
  });

  it('records events that are too old, and does not send them', async () => {
    const hourMs = 3_600_000;
    const old = { ...orderEvent(1, 1), time: Date.now() - 2 * hourMs };
    const timeless = { ...orderEvent(2, 1), time: -1e18 };
    await give(database.pool, [old, timeless], hourMs);
    for (const { status, last_error } of await rows(database.pool))
      assert.deepEqual([status, last_error], ['FAILED', 'the event was too old when it was read']);
    assert.equal(await count('notifications'), 2);
    assert.equal(await count('deliveries'), 0);
  });

  it('judges the age of an event by the clock of PostgreSQL, whatever its own says', async (t) => {
    const hourMs = 3_600_000;
    const now = Date.now();
    const events = [orderEvent(1, 1), { ...orderEvent(2, 1), time: now - 2 * hourMs }];
    for (const wrongByMs of [100 * hourMs, -100 * hourMs]) {
      await database.pool.query('TRUNCATE notifications CASCADE');
      t.mock.timers.enable({ apis: ['Date'], now: now + wrongByMs });
      await give(database.pool, events, hourMs);
      t.mock.timers.reset();
      assert.deepEqual(
        (await rows(database.pool)).map(({ event_id, status }) => `${event_id} ${status}`),
        ['order-1-3 PENDING', 'order-2-3 FAILED'],
        `wrong by ${wrongByMs} ms`,
      );
    }
  });

  it('deletes old notifications that are not PENDING', async () => {
    await give(
      database.pool,
      Array.from({ length: 4 }, (_, i) => orderEvent(i + 1, 1)),
    );
    await database.pool.query(
      `UPDATE notifications SET created_at = now() - interval '91 days', status = CASE id WHEN 1 THEN 'PENDING' ELSE 'SENT' END::notification_status WHERE id < 4`,
    );
    assert.equal(await deleteOld(database.pool, 90), 2);
    assert.deepEqual(
      (await rows(database.pool)).map((row) => row.event_id),
      ['order-1-3', 'order-4-3'],
    );
  });
});
