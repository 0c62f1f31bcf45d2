import assert from 'node:assert/strict';
import { it } from 'node:test';
import { RetryBudget } from './retry.ts';

it('allows a reserve of retries, and then one for every ten requests', () => {
  const budget = new RetryBudget();
  let retries = 0;
  while (budget.withdraw()) retries += 1;
  assert.equal(retries, 10);
  for (let i = 0; i < 1_000; i += 1) {
    budget.deposit();
    if (budget.withdraw()) retries += 1;
  }
  assert.ok(retries >= 105 && retries <= 110, `${retries} retries`);
});
