import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compile } from 'typebox/compile';
import { fromCents, money, toCents } from './money.ts';

test('an amount with two places survives the way through JSON to cents and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (cents) => {
      const text = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
      const parsed = JSON.parse(text) as number;
      assert.equal(toCents(parsed), cents);
      assert.equal(JSON.stringify(fromCents(cents)), JSON.stringify(parsed));
    }),
  );
});

test('an amount with more than two places has no cents', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 1, max: 9 }), (cents, third) => {
      const text = `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}${third}`;
      assert.equal(toCents(JSON.parse(text) as number), undefined);
    }),
  );
});

test('the schema takes amounts of two places that are not negative', () => {
  const validator = Compile(money({ maximum: 100 }));
  for (const good of [0, 0.1, 19.99, 100]) assert.ok(validator.Check(good), String(good));
  for (const bad of [-0.01, 1.005, 100.01, Number.NaN, Infinity, '1', null])
    assert.ok(!validator.Check(bad), String(bad));
});
