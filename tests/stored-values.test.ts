import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Notification } from '#contracts/notifications.ts';
import { orderStatuses } from '#contracts/orders.ts';
import { createTestDatabase } from '#test/database.ts';
import { allowedTexts } from '#test/shape.ts';

test('an order can be stored in each status of the contract, and in no other', async (t) => {
  const { pool, drop } = await createTestDatabase('orders');
  t.after(drop);
  assert.deepEqual(await allowedTexts(pool, 'orders', 'status'), orderStatuses.toSorted());
});

test('a notification can be stored in each status of the contract, and in no other', async (t) => {
  const { pool, drop } = await createTestDatabase('notifications');
  t.after(drop);
  assert.deepEqual(await allowedTexts(pool, 'notifications', 'status'), Notification.properties.status.enum.toSorted());
});
