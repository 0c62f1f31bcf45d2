import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backfillGroup, rebuildGroup, versionPrefix } from './groups.ts';

test('what builds another version of a group has a name that the rights of the group cover', () => {
  for (const name of [backfillGroup('orders'), rebuildGroup('orders', 2)]) {
    assert.ok(name.startsWith(versionPrefix('orders')), name);
  }
});
