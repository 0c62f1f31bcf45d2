import type { Notification, notifications } from '#contracts/notifications.ts';
import { defaultLimit } from '#platform/contract';
import type { Handlers, Reply } from '#platform/http';
import { nextPage, notFound } from '#platform/http';
import type { Notification as NotificationRow } from '#prisma/notifications/client/client.ts';
import type { Archive } from './archive.ts';

interface Page {
  limit?: number;
  cursor?: string;
}

/** The operations of the notifications contract. */
export function createHandlers(archive: Archive): Handlers<typeof notifications.operations> {
  async function list(path: string, { limit = defaultLimit, cursor }: Page, userId?: string): Promise<Reply> {
    const rows = await archive.list({
      ...(userId !== undefined && { userId: BigInt(userId) }),
      before: cursor === undefined ? undefined : BigInt(cursor),
      limit: limit + 1,
    });
    const page = rows.slice(0, limit);
    const next = rows.length > limit ? page.at(-1)?.id : undefined;
    return { headers: nextPage(path, { limit }, next), body: page.map(present) };
  }

  return {
    listNotifications: ({ query }) => list('/notifications', query),
    listUserNotifications: ({ params: { userId }, query }) => list(`/notifications/user/${userId}`, query, userId),
    async getNotification({ params: { id } }) {
      const row = await archive.find(BigInt(id));
      if (!row) throw notFound(`There is no notification ${id}`);
      return { body: present(row) };
    },
  };
}

/** A notification as the interface shows it. */
function present(row: NotificationRow): Notification {
  return {
    id: Number(row.id),
    userId: Number(row.userId),
    eventId: row.eventId,
    type: row.type,
    channel: row.channel,
    recipient: row.recipient,
    subject: row.subject,
    body: row.body,
    status: row.status,
    attempts: row.attempts,
    createdAt: row.createdAt.toISOString(),
    sentAt: row.sentAt?.toISOString() ?? null,
  };
}
