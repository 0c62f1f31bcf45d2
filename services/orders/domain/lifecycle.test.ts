import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderStatuses } from '#contracts/orders.ts';
import { mayStep, refusal, statusesBefore } from './lifecycle.ts';

const allowed = new Set([
  'PENDING CONFIRMED',
  'PENDING CANCELLED',
  'CONFIRMED SHIPPED',
  'CONFIRMED CANCELLED',
  'SHIPPED DELIVERED',
]);

for (const from of orderStatuses) {
  for (const to of orderStatuses) {
    const expected = allowed.has(`${from} ${to}`);
    test(`${from} → ${to} is ${expected ? 'a step' : 'refused'}`, () => {
      assert.equal(mayStep(from, to), expected);
      assert.equal(statusesBefore(to).includes(from), expected);
    });
  }
}

test('a refusal names the allowed statuses', () => {
  assert.equal(refusal('PENDING', 'PENDING'), 'The order is already PENDING');
  assert.equal(refusal('CANCELLED', 'PENDING'), 'The order is CANCELLED, which is final');
  assert.equal(refusal('PENDING', 'SHIPPED'), 'A PENDING order can become CONFIRMED or CANCELLED, not SHIPPED');
});
