import assert from 'node:assert/strict';
import { test } from 'node:test';
import { severities } from '#streams/contract';
import { createTestDatabase } from '#test/database.ts';
import { allowedTexts } from '#test/shape.ts';

test('an alert can be stored with each severity of the contract, and with no other', async (t) => {
  const { pool, drop } = await createTestDatabase('analytics');
  t.after(drop);
  assert.deepEqual(await allowedTexts(pool, 'alerts', 'severity'), severities.toSorted());
});
