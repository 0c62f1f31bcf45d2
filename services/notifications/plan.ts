import type { EventData } from '#contracts/index.ts';
import type { UserCreated } from '#contracts/users.ts';
import { identityOf } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { messageFor } from './templates.ts';
import type { Message } from './templates.ts';

/** The state of a user after an event; without data if the user is deleted. */
export interface RecipientChange {
  userId: number;
  version: number;
  email: string | null;
  firstName: string | null;
  lastName: string | null;
  deletedAt: string | null;
}

export interface NewNotification extends Message {
  /** identifies the event among those of all sources */
  eventId: string;
  type: string;
  traceparent: string | undefined;
  /** when its event happened, in milliseconds since 1970 */
  time: number;
}

export interface IntakePlan {
  /** the newest state of each user, in the order of ids: batches that lock the same rows do so in one order */
  recipients: RecipientChange[];
  /** one per event, even if the batch repeats it */
  notifications: NewNotification[];
}

/** The changes of a batch of events. */
export function planIntake(events: readonly ReceivedEvent[]): IntakePlan {
  const recipients = new Map<number, RecipientChange>();
  const notifications = new Map<string, NewNotification>();
  for (const event of events) {
    const change = recipientOf(event);
    if (change && change.version > (recipients.get(change.userId)?.version ?? 0)) recipients.set(change.userId, change);
    const message = messageFor(event);
    if (message) {
      const { type, time, traceparent } = event;
      const eventId = identityOf(event);
      notifications.set(eventId, { ...message, eventId, type, time, traceparent });
    }
  }
  return {
    recipients: [...recipients.values()].toSorted((a, b) => a.userId - b.userId),
    notifications: [...notifications.values()],
  };
}

function recipientOf(event: ReceivedEvent): RecipientChange | undefined {
  if (event.type === 'user.created' || event.type === 'user.updated') {
    const { userId, version, email, firstName, lastName } = event.data as UserCreated;
    return { userId, version, email, firstName, lastName, deletedAt: null };
  }
  if (event.type === 'user.deleted') {
    const { userId, version, deletedAt } = event.data as EventData['user.deleted'];
    return { userId, version, email: null, firstName: null, lastName: null, deletedAt };
  }
  return undefined;
}
