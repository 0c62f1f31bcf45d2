import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { OrderInput } from '#contracts/orders.ts';
import { Problem } from '#platform/http';
import { decimalOf, fingerprint, newOrder } from './order.ts';

const item = { productId: 1, productName: 'Lamp', quantity: 3, unitPrice: 0.1, totalPrice: 0.3 };
const input = (changes: Partial<OrderInput> = {}): OrderInput => ({ userId: 1, items: [item], ...changes });

function faultsOf(order: OrderInput): string[] {
  try {
    newOrder(order);
    return [];
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.status, 400);
    return error.errors!.map(({ field }) => field);
  }
}

test('three times 0.1 is 0.3, unlike in binary floating point', () => {
  assert.notEqual(3 * 0.1, 0.3);
  assert.equal(newOrder(input()).totalCents, 30);
});

test('a total price that is not quantity × unit price is named', () => {
  const wrong = { ...item, totalPrice: 0.31 };
  assert.deepEqual(faultsOf(input({ items: [item, wrong, item, wrong] })), [
    'items[1].totalPrice',
    'items[3].totalPrice',
  ]);
});

test('totals are exact: the sum in cents of any items', () => {
  const items = fc.array(
    fc.record({ quantity: fc.integer({ min: 1, max: 100_000 }), cents: fc.integer({ min: 0, max: 100_000_000 }) }),
    { minLength: 1, maxLength: 500 },
  );
  fc.assert(
    fc.property(items, (lines) => {
      const order = newOrder(
        input({
          items: lines.map(({ quantity, cents }) => ({
            productId: 1,
            productName: 'x',
            quantity,
            unitPrice: cents / 100,
            totalPrice: (quantity * cents) / 100,
          })),
        }),
      );
      const expected = lines.reduce((sum, { quantity, cents }) => sum + BigInt(quantity) * BigInt(cents), 0n);
      assert.equal(BigInt(order.totalCents), expected);
      assert.equal(decimalOf(order.totalCents), `${expected / 100n}.${String(expected % 100n).padStart(2, '0')}`);
    }),
  );
});

test('the same order has the same fingerprint in any JSON form', () => {
  const { productName, totalPrice, ...rest } = item;
  const same = newOrder({ notes: null, items: [{ totalPrice, ...rest, productName }], userId: 1 });
  assert.equal(fingerprint(same), fingerprint(newOrder(input())));
  assert.notEqual(fingerprint(newOrder(input({ notes: 'x' }))), fingerprint(newOrder(input())));
  assert.notEqual(fingerprint(newOrder(input({ userId: 2 }))), fingerprint(newOrder(input())));
});
