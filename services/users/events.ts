import type { EventData } from '#contracts/index.ts';
import { users } from '#contracts/users.ts';
import { findInOutbox } from '#platform/outbox';
import type { OutboxEvent, OwnEvents } from '#platform/outbox';

/** A user as the database has it. */
export interface UserRow {
  id: bigint;
  username: string;
  email: string;
  firstName: string;
  lastName: string;
  status: string;
  version: number;
  createdAt: Date;
  updatedAt: Date;
}

/** Where users finds what it has sent. */
export const userEvents: OwnEvents = { topic: 'user-events', find: findInOutbox };

type UserEventType = 'user.created' | 'user.updated' | 'user.deleted';

/** The event of a user's new state. */
export function userChanged(
  type: 'user.created' | 'user.updated',
  user: UserRow,
  traceparent: string | undefined,
): OutboxEvent {
  return outboxEvent(
    type,
    {
      userId: Number(user.id),
      username: user.username,
      email: user.email,
      firstName: user.firstName,
      lastName: user.lastName,
      status: user.status,
      version: user.version,
      createdAt: user.createdAt.toISOString(),
      updatedAt: user.updatedAt.toISOString(),
    },
    traceparent,
  );
}

/** The event that ends a user's history; its version follows the last one. */
export function userDeleted(
  user: Pick<UserRow, 'id' | 'version'>,
  deletedAt: Date,
  traceparent: string | undefined,
): OutboxEvent {
  const data = { userId: Number(user.id), version: user.version + 1, deletedAt: deletedAt.toISOString() };
  return outboxEvent('user.deleted', data, traceparent);
}

function outboxEvent<T extends UserEventType>(
  type: T,
  data: EventData[T],
  traceparent: string | undefined,
): OutboxEvent {
  return {
    topic: users.events[type].topics[0],
    key: String(data.userId),
    eventId: `user-${data.userId}-${data.version}`,
    type,
    source: users.events[type].source,
    data: JSON.stringify(data),
    traceparent,
  };
}
