import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyBudget } from './body-budget.ts';

test('a client has a share, and all together have the whole', () => {
  const budget = new BodyBudget(100, 40);
  assert.equal(budget.take('a', 40), undefined);
  assert.equal(budget.take('a', 1)?.status, 429);
  assert.equal(budget.take('b', 40), undefined);
  assert.equal(budget.take('c', 30)?.status, 503);
  assert.equal(budget.take('c', 20), undefined);
  assert.equal(budget.taken, 100);
});

test('what a client gives back can be taken again', () => {
  const budget = new BodyBudget(100, 40);
  budget.take('a', 40);
  budget.give('a', 30);
  assert.equal(budget.take('a', 31)?.status, 429);
  assert.equal(budget.take('a', 30), undefined);
  budget.give('a', 40);
  assert.equal(budget.taken, 0);
});
