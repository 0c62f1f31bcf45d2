import { Type } from 'typebox';
import type { Static } from 'typebox';
import {
  defineContract,
  EventTime,
  Id,
  IdReference,
  ifMatch,
  money,
  Page,
  pageHeaders,
  PathId,
  QueryTime,
  Text,
  Time,
  Version,
} from '#platform/contract';

export const orderStatuses = ['PENDING', 'CONFIRMED', 'SHIPPED', 'DELIVERED', 'CANCELLED'] as const;
export const OrderStatus = Type.Enum(orderStatuses);
export type OrderStatus = (typeof orderStatuses)[number];

const itemFields = {
  productId: Id,
  productName: Text({ minLength: 1, maxLength: 200 }),
  quantity: Type.Integer({ minimum: 1, maximum: 10_000 }),
  unitPrice: money({ maximum: 1_000_000 }),
};

export const OrderItem = Type.Object({ ...itemFields, totalPrice: money() });
export type OrderItem = Static<typeof OrderItem>;

export const OrderInput = Type.Object(
  {
    userId: IdReference,
    items: Type.Array(
      Type.Object(
        {
          ...itemFields,
          totalPrice: money({ description: 'quantity × unitPrice' }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 500 },
    ),
    shippingAddress: Type.Optional(Type.Union([Text({ maxLength: 500 }), Type.Null()])),
    notes: Type.Optional(Type.Union([Text({ maxLength: 2000 }), Type.Null()])),
  },
  {
    additionalProperties: false,
    examples: [
      {
        userId: 1,
        items: [{ productId: 101, productName: 'Pocket watch', quantity: 2, unitPrice: 12.5, totalPrice: 25 }],
        shippingAddress: '1 Mill Lane',
      },
    ],
  },
);
export type OrderInput = Static<typeof OrderInput>;

export const Order = Type.Object({
  id: Id,
  userId: Id,
  userUsername: Type.Union([Type.String(), Type.Null()]),
  userEmail: Type.Union([Type.String(), Type.Null()]),
  totalAmount: money(),
  status: OrderStatus,
  itemsCount: Type.Integer(),
  items: Type.Array(OrderItem),
  shippingAddress: Type.Union([Type.String(), Type.Null()]),
  notes: Type.Union([Type.String(), Type.Null()]),
  isDeleted: Type.Boolean(),
  version: Type.Integer({ description: 'counts the events of the order, from 1' }),
  createdAt: Time,
  updatedAt: Time,
});
export type Order = Static<typeof Order>;

export const OrderStatistics = Type.Object({
  pendingCount: Type.Integer(),
  confirmedCount: Type.Integer(),
  shippedCount: Type.Integer(),
  deliveredCount: Type.Integer(),
  cancelledCount: Type.Integer(),
  totalCount: Type.Integer(),
});
export type OrderStatistics = Static<typeof OrderStatistics>;

export const StoredEvent = Type.Object({
  id: Type.String({ examples: ['order-1-1'] }),
  type: Type.String({ examples: ['order.created'] }),
  version: Type.Integer(),
  time: Time,
  data: Type.Unknown(),
});
export type StoredEvent = Static<typeof StoredEvent>;

const nullableText = Type.Union([Text(), Type.Null()]);

const byId = Type.Object({ id: PathId });
const entityTag = { ETag: 'the version, for If-Match' };
const one = { 200: { description: 'The order', schema: Order, headers: entityTag } };
const unknown = { 404: 'No such order' };
const list = { 200: { description: 'Orders, newest first', schema: Type.Array(Order), headers: pageHeaders } };

export const OrderCreated = Type.Object({
  orderId: Id,
  userId: Id,
  status: OrderStatus,
  totalAmount: money(),
  items: Type.Array(OrderItem),
  shippingAddress: nullableText,
  notes: nullableText,
  createdAt: EventTime,
});
export type OrderCreated = Static<typeof OrderCreated>;

export const OrderStatusChanged = Type.Object({
  orderId: Id,
  userId: Id,
  previousStatus: OrderStatus,
  status: OrderStatus,
  totalAmount: money(),
  version: Version,
  createdAt: EventTime,
  changedAt: EventTime,
});
export type OrderStatusChanged = Static<typeof OrderStatusChanged>;

export const OrderDeleted = Type.Object({
  orderId: Id,
  userId: Id,
  status: OrderStatus,
  totalAmount: money(),
  version: Version,
  createdAt: EventTime,
  deletedAt: EventTime,
});
export type OrderDeleted = Static<typeof OrderDeleted>;

/** The contract of orders. */
export const orders = defineContract('orders', {
  schemas: { Order, OrderInput, OrderItem, OrderStatistics, StoredEvent },
  events: {
    'order.created': {
      summary: 'An order was placed; its version is 1',
      topics: ['order-events'],
      schema: OrderCreated,
    },
    'order.status-changed': {
      summary: 'The status of an order changed',
      topics: ['order-events'],
      schema: OrderStatusChanged,
    },
    'order.deleted': { summary: 'An order was deleted, softly', topics: ['order-events'], schema: OrderDeleted },
  },
  operations: {
    createOrder: {
      method: 'post',
      path: '/orders',
      summary: 'Place an order',
      headers: {
        'idempotency-key': {
          description: 'a repeated POST of the same caller with the same key returns the first answer',
          minLength: 1,
          maxLength: 255,
          pattern: '[^ \\t]', // HTTP drops blanks at both ends
        },
      },
      body: OrderInput,
      responses: {
        201: { description: 'The new order', schema: Order, headers: { Location: 'where the order is', ...entityTag } },
      },
      problems: { 422: 'An unknown user, or an Idempotency-Key that was sent with another body' },
    },
    setOrderStatus: {
      method: 'put',
      path: '/orders/{id}/status',
      summary: 'Change the status of an order',
      params: byId,
      headers: { 'if-match': ifMatch },
      body: Type.Object({ status: OrderStatus }, { additionalProperties: false }),
      responses: one,
      problems: { ...unknown, 409: 'A status change that is not allowed', 412: 'The order has changed' },
    },
    deleteOrder: {
      method: 'delete',
      path: '/orders/{id}',
      summary: 'Delete an order (softly)',
      params: byId,
      headers: { 'if-match': ifMatch },
      responses: { 204: { description: 'Deleted' } },
      problems: { ...unknown, 412: 'The order has changed' },
    },
    listOrders: {
      method: 'get',
      path: '/orders',
      summary: 'List orders',
      query: Type.Object({ ...Page }),
      responses: list,
    },
    getOrder: {
      method: 'get',
      path: '/orders/{id}',
      summary: 'Read an order',
      params: byId,
      query: Type.Object({
        minVersion: Type.Optional(
          Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, description: 'waits up to a second for this version' }),
        ),
      }),
      responses: one,
      problems: unknown,
    },
    listUserOrders: {
      method: 'get',
      path: '/orders/user/{userId}',
      summary: 'List the orders of a user',
      params: Type.Object({ userId: PathId }),
      query: Type.Object({ ...Page }),
      responses: list,
    },
    listOrdersByStatus: {
      method: 'get',
      path: '/orders/status/{status}',
      summary: 'List the orders in a status',
      params: Type.Object({ status: OrderStatus }),
      query: Type.Object({ ...Page }),
      responses: list,
    },
    listUserOrdersByStatus: {
      method: 'get',
      path: '/orders/user/{userId}/status/{status}',
      summary: 'List the orders of a user in a status',
      params: Type.Object({ userId: PathId, status: OrderStatus }),
      query: Type.Object({ ...Page }),
      responses: list,
    },
    listOrdersByDate: {
      method: 'get',
      path: '/orders/date-range',
      summary: 'List the orders created between two times, both included',
      query: Type.Object({ startDate: QueryTime, endDate: QueryTime, ...Page }),
      responses: list,
    },
    getOrderStatistics: {
      method: 'get',
      path: '/orders/statistics',
      summary: 'Count the orders by status',
      responses: { 200: { description: 'The counts', schema: OrderStatistics } },
    },
    searchOrdersByUsername: {
      method: 'get',
      path: '/orders/search/username',
      summary: 'List the orders of users whose name contains a text, in any case',
      query: Type.Object({ username: Text({ minLength: 1, maxLength: 50 }), ...Page }),
      responses: list,
    },
    listOrdersAbove: {
      method: 'get',
      path: '/orders/amount-greater-than',
      summary: 'List the orders with a total above an amount',
      query: Type.Object({
        minAmount: Type.String({ pattern: '^-?[0-9]{1,15}(\\.[0-9]{1,6})?$', description: 'a decimal' }),
        ...Page,
      }),
      responses: list,
    },
    listOrderEvents: {
      method: 'get',
      path: '/orders/{id}/events',
      summary: "Read the order's own events, oldest first",
      params: byId,
      responses: { 200: { description: 'The events', schema: Type.Array(StoredEvent) } },
      problems: unknown,
    },
  },
});
