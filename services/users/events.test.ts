import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeEvent } from '#contracts/index.ts';
import type { OutboxEvent } from '#platform/outbox';
import { userChanged, userDeleted } from './events.ts';
import type { UserRow } from './events.ts';

const ada: UserRow = {
  id: 42n,
  username: 'ada',
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: 'Lovelace',
  status: 'ACTIVE',
  version: 3,
  createdAt: new Date('2026-01-01T10:00:00.123Z'),
  updatedAt: new Date('2026-01-02T10:00:00.000Z'),
};

/** The row as a consumer reads it. @throws if it violates the contract */
function decoded(row: OutboxEvent) {
  const headers = {
    ce_id: row.eventId,
    ce_type: row.type,
    ce_source: row.source,
    ce_time: ada.updatedAt.toISOString(),
  };
  const value = Buffer.from(row.data as string);
  return decodeEvent({ topic: row.topic, partition: 0, offset: 0n, key: row.key, value, headers });
}

describe('user events', () => {
  it('contain the user as the contract declares it', () => {
    const row = userChanged('user.updated', ada, '00-trace');
    assert.equal(row.eventId, 'user-42-3');
    assert.equal(row.key, '42');
    assert.equal(row.topic, 'user-events');
    assert.equal(row.traceparent, '00-trace');
    assert.deepEqual(decoded(row).data, {
      userId: 42,
      username: 'ada',
      email: 'ada@example.com',
      firstName: 'Ada',
      lastName: 'Lovelace',
      status: 'ACTIVE',
      version: 3,
      createdAt: '2026-01-01T10:00:00.123Z',
      updatedAt: '2026-01-02T10:00:00.000Z',
    });
  });

  it('end with a deletion that has the next version and no personal data', () => {
    const row = userDeleted(ada, new Date('2026-01-03T00:00:00.000Z'), undefined);
    assert.equal(row.eventId, 'user-42-4');
    assert.equal(row.traceparent, undefined);
    assert.deepEqual(decoded(row).data, { userId: 42, version: 4, deletedAt: '2026-01-03T00:00:00.000Z' });
  });
});
