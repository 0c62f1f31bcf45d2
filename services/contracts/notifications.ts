import { Type } from 'typebox';
import type { Static } from 'typebox';
import { contentTag, defineContract, Id, Page, pageHeaders, PathId, Time } from '#platform/contract';

export const Notification = Type.Object({
  id: Id,
  userId: Id,
  eventId: Type.String({
    examples: ['order-1-1'],
    description: 'The id of the event; of an event of a source that is not the platform\'s own, `["source","id"]`',
  }),
  type: Type.String({ examples: ['order.created'] }),
  channel: Type.String({ examples: ['EMAIL'] }),
  recipient: Type.Union([Type.String(), Type.Null()]),
  subject: Type.String(),
  body: Type.String(),
  status: Type.Enum(['PENDING', 'SENT', 'FAILED']),
  attempts: Type.Integer(),
  createdAt: Time,
  sentAt: Type.Union([Time, Type.Null()]),
});
export type Notification = Static<typeof Notification>;

const list = {
  200: { description: 'Notifications, newest first', schema: Type.Array(Notification), headers: pageHeaders },
};

/** The contract of notifications. */
export const notifications = defineContract('notifications', {
  schemas: { Notification },
  operations: {
    listNotifications: {
      method: 'get',
      path: '/notifications',
      summary: 'List notifications',
      query: Type.Object({ ...Page }),
      responses: list,
    },
    getNotification: {
      method: 'get',
      path: '/notifications/{id}',
      summary: 'Read a notification',
      params: Type.Object({ id: PathId }),
      responses: { 200: { description: 'The notification', schema: Notification, headers: contentTag } },
      problems: { 404: 'No such notification' },
    },
    listUserNotifications: {
      method: 'get',
      path: '/notifications/user/{userId}',
      summary: 'List the notifications of a user',
      params: Type.Object({ userId: PathId }),
      query: Type.Object({ ...Page }),
      responses: list,
    },
  },
});
