import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextPage } from './page.ts';

test('the next page keeps the query and moves the cursor', () => {
  const query = { limit: 2, username: 'a&b', cursor: '9', severity: undefined };
  assert.deepEqual(nextPage('/orders', query, 7n), { Link: '</orders?limit=2&username=a%26b&cursor=7>; rel="next"' });
});

test('the last page leads nowhere', () => {
  assert.deepEqual(nextPage('/orders', { limit: 2 }, undefined), {});
});
