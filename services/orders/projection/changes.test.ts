import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { changesOf } from './changes.ts';

function event(type: string, data: unknown, partition = 0): ReceivedEvent {
  return { type, data, partition } as ReceivedEvent;
}

const time = (second: number) => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000Z`;
const base = (orderId: number) => ({ orderId, userId: 9, totalAmount: 12.5, createdAt: time(0) });
const items = [{ productId: 1, productName: 'Lamp', quantity: 1, unitPrice: 12.5, totalPrice: 12.5 }];

const created = (orderId: number, partition = 0) =>
  event(
    'order.created',
    { ...base(orderId), status: 'PENDING', items, shippingAddress: 'Here', notes: null },
    partition,
  );
const changed = (orderId: number, version: number, status: string) =>
  event('order.status-changed', { ...base(orderId), status, version, changedAt: time(version) });
const deleted = (orderId: number, version: number) =>
  event('order.deleted', { ...base(orderId), status: 'CONFIRMED', version, deletedAt: time(version) });

test('several events of an order become one change', () => {
  const { orders, users } = changesOf([created(5), changed(5, 2, 'CONFIRMED'), deleted(5, 3)]);
  assert.deepEqual(users, []);
  assert.deepEqual(orders, [
    {
      id: 5,
      userId: 9,
      status: 'CONFIRMED',
      totalAmount: 12.5,
      details: { items, shippingAddress: 'Here', notes: null },
      isDeleted: true,
      version: 3,
      createdAt: time(0),
      updatedAt: time(3),
      partition: 0,
    },
  ]);
});

test('the order and repetition of the events of a batch do not matter', () => {
  const life = [created(1), changed(1, 2, 'CONFIRMED'), changed(1, 3, 'SHIPPED'), created(2), deleted(2, 2)];
  const expected = changesOf(life);
  fc.assert(
    fc.property(fc.shuffledSubarray([...life, ...life], { minLength: life.length * 2 }), (events) => {
      assert.deepEqual(changesOf(events), expected);
    }),
  );
});

test('changes are sorted by id', () => {
  const { orders } = changesOf([created(10), created(9), created(100), created(2)]);
  assert.deepEqual(
    orders.map(({ id }) => id),
    [2, 9, 10, 100],
  );
});

test('a user has the newest names; a deletion keeps them', () => {
  const user = (version: number, username: string) =>
    event('user.updated', { userId: 3, username, email: `${username}@example.org`, version });
  const gone = event('user.deleted', { userId: 3, version: 9, deletedAt: time(9) });
  assert.deepEqual(changesOf([user(2, 'new'), user(1, 'old'), gone]).users, [
    { id: 3, username: 'new', email: 'new@example.org', isDeleted: true, version: 9 },
  ]);
  assert.deepEqual(changesOf([gone]).users, [{ id: 3, username: null, email: null, isDeleted: true, version: 9 }]);
});

test('other events are ignored', () => {
  assert.deepEqual(changesOf([event('order.archived', { orderId: 1 }), event('metric.updated', {})]), {
    orders: [],
    users: [],
  });
});
