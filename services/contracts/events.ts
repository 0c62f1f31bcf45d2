import { Type } from 'typebox';
import type { Static, TSchema } from 'typebox';
import { Alert, estimates } from './analytics.ts';
import { Id } from './id.ts';
import { money } from './money.ts';
import { OrderItem, OrderStatus } from './orders.ts';
import { Time } from './time.ts';

const nullableText = Type.Union([Type.String(), Type.Null()]);
const nullableTime = Type.Union([Time, Type.Null()]);

export const UserCreated = Type.Object({
  userId: Id,
  username: Type.String(),
  email: Type.String(),
  firstName: Type.String(),
  lastName: Type.String(),
  status: Type.String(),
  version: Type.Integer(),
  createdAt: Time,
  updatedAt: Time,
});
export type UserCreated = Static<typeof UserCreated>;

export const UserDeleted = Type.Object({ userId: Id, version: Type.Integer(), deletedAt: Time });
export type UserDeleted = Static<typeof UserDeleted>;

export const OrderCreated = Type.Object({
  orderId: Id,
  userId: Id,
  status: OrderStatus,
  totalAmount: money(),
  items: Type.Array(OrderItem),
  shippingAddress: nullableText,
  notes: nullableText,
  createdAt: Time,
});
export type OrderCreated = Static<typeof OrderCreated>;

export const OrderStatusChanged = Type.Object({
  orderId: Id,
  userId: Id,
  previousStatus: OrderStatus,
  status: OrderStatus,
  totalAmount: money(),
  version: Type.Integer(),
  createdAt: Type.String({ format: 'date-time', description: "the order's" }),
  changedAt: Time,
});
export type OrderStatusChanged = Static<typeof OrderStatusChanged>;

export const OrderDeleted = Type.Object({
  orderId: Id,
  userId: Id,
  status: OrderStatus,
  totalAmount: money(),
  version: Type.Integer(),
  createdAt: Type.String({ format: 'date-time', description: "the order's" }),
  deletedAt: Time,
});
export type OrderDeleted = Static<typeof OrderDeleted>;

export const MetricUpdated = Type.Object({
  query: Type.String(),
  version: Type.Integer(),
  key: Type.String(),
  windowStart: nullableTime,
  windowEnd: nullableTime,
  values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Null()])),
  estimates,
  closed: Type.Boolean(),
  updatedAt: Time,
  replaces: Type.Optional(
    Type.Array(Time, {
      description: 'of a session: the windowStart of sessions emitted before that are now part of this one',
    }),
  ),
});
export type MetricUpdated = Static<typeof MetricUpdated>;

export const AlertRaised = Alert;
export type AlertRaised = Static<typeof AlertRaised>;

export interface EventType {
  summary: string;
  /** the topics it is sent to; metrics go where their stream query says */
  topics: readonly string[];
  schema: TSchema;
}

/** Every event, by its CloudEvents type. The key is the aggregate's id in decimal. */
export const eventTypes = {
  'user.created': { summary: 'A user has registered', topics: ['user-events'], schema: UserCreated },
  'user.updated': { summary: 'A user has changed', topics: ['user-events'], schema: UserCreated },
  'user.deleted': { summary: 'A user is gone', topics: ['user-events'], schema: UserDeleted },
  'order.created': { summary: 'An order was placed; its version is 1', topics: ['order-events'], schema: OrderCreated },
  'order.status-changed': {
    summary: 'An order moved along its life',
    topics: ['order-events'],
    schema: OrderStatusChanged,
  },
  'order.deleted': { summary: 'An order was deleted, softly', topics: ['order-events'], schema: OrderDeleted },
  'metric.updated': {
    summary: 'A window of a stream query changed or closed',
    topics: ['analytics-events', 'revenue-analytics', 'user-activity-analytics'],
    schema: MetricUpdated,
  },
  'alert.raised': { summary: 'A stream query raised an alert', topics: ['analytics-alerts'], schema: AlertRaised },
} as const satisfies Record<string, EventType>;

/** The data of each event by its type. */
export interface EventData {
  'user.created': UserCreated;
  'user.updated': UserCreated;
  'user.deleted': UserDeleted;
  'order.created': OrderCreated;
  'order.status-changed': OrderStatusChanged;
  'order.deleted': OrderDeleted;
  'metric.updated': MetricUpdated;
  'alert.raised': AlertRaised;
}
