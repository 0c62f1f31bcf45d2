import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { basket, lifeOf, mistake, person, seededRandom } from './demo-plan.ts';

interface Item {
  quantity: number;
  unitPrice: number;
  totalPrice: number;
}

describe('the demo', () => {
  test('chooses the same for the same seed', () => {
    const choices = (seed: number): unknown => {
      const random = seededRandom(seed);
      return [basket(random, 1), lifeOf(random), person(random, 'x'), mistake(random, { userId: 1, user: {} })];
    };
    assert.deepEqual(choices(7), choices(7));
    assert.notDeepEqual(choices(7), choices(8));
  });

  test('numbers lie from 0 to 1 and spread', () => {
    const random = seededRandom(1);
    const numbers = Array.from({ length: 10_000 }, random);
    assert.ok(numbers.every((number) => number >= 0 && number < 1));
    const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
    assert.ok(Math.abs(mean - 0.5) < 0.02, String(mean));
  });

  test('sells at exact prices', () => {
    const random = seededRandom(2);
    for (let count = 0; count < 1_000; count += 1) {
      const items = basket(random, 1)['items'] as Item[];
      assert.ok(items.length >= 1 && items.length <= 4);
      for (const { quantity, unitPrice, totalPrice } of items)
        assert.equal(Math.round(totalPrice * 100), quantity * Math.round(unitPrice * 100));
    }
  });

  test('makes only allowed status changes', () => {
    const random = seededRandom(3);
    const lives = new Set(
      Array.from({ length: 1_000 }, () =>
        lifeOf(random)
          .map(({ status }) => status)
          .join(' '),
      ),
    );
    assert.deepEqual(
      lives,
      new Set(['CONFIRMED SHIPPED DELIVERED', 'CONFIRMED SHIPPED', 'CONFIRMED CANCELLED', 'CANCELLED']),
    );
  });
});
