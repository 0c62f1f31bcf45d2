import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { planIntake } from './plan.ts';

const user = (userId: number, version: number) => ({
  userId,
  version,
  email: `v${version}@x.y`,
  firstName: 'A',
  lastName: 'B',
});

function event(id: string, type: string, data: unknown): ReceivedEvent {
  return {
    id,
    type,
    source: '/tests',
    subject: '',
    time: 1_000,
    data,
    topic: 't',
    partition: 0,
    offset: 0n,
    key: null,
    traceparent: undefined,
  };
}

describe('planIntake', () => {
  it('keeps the newest state of each user, in the order of ids', () => {
    const { recipients } = planIntake([
      event('user-9-1', 'user.created', user(9, 1)),
      event('user-2-2', 'user.updated', user(2, 2)),
      event('user-9-3', 'user.deleted', { userId: 9, version: 3, deletedAt: '2026-01-01T00:00:00.000Z' }),
      event('user-9-2', 'user.updated', user(9, 2)),
    ]);
    assert.deepEqual(
      recipients.map(({ userId, version, email }) => ({ userId, version, email })),
      [
        { userId: 2, version: 2, email: 'v2@x.y' },
        { userId: 9, version: 3, email: null },
      ],
    );
  });

  it('makes one notification of an event that comes twice', () => {
    const twice = event('user-9-1', 'user.created', user(9, 1));
    assert.equal(planIntake([twice, twice]).notifications.length, 1);
  });
});
