import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rebuildPhases } from '#platform/declarations';
import { createTestDatabase } from '#test/database.ts';
import { allowedTexts } from '#test/shape.ts';

test('the table of requests has the phases that the service and the operator know', async (t) => {
  const { pool, drop } = await createTestDatabase();
  t.after(drop);
  const { active, finished } = rebuildPhases;
  const phases = await allowedTexts(pool, 'millrace.projection_rebuilds', 'phase');
  assert.deepEqual(phases, [...active, ...finished].toSorted());
});

test('a group has one rebuild in an active phase, and any number in a finished one', async (t) => {
  const { pool, drop } = await createTestDatabase();
  t.after(drop);
  const insert = (phase: string, request: string) =>
    pool.query(
      'INSERT INTO millrace.projection_rebuilds (consumer_group, request, phase) VALUES ($1, $2, $1) ON CONFLICT DO NOTHING',
      [phase, request],
    );
  for (const phase of [...rebuildPhases.active, ...rebuildPhases.finished]) {
    await insert(phase, `${phase} 1`);
    const { rowCount } = await insert(phase, `${phase} 2`);
    assert.equal(rowCount, (rebuildPhases.active as readonly string[]).includes(phase) ? 0 : 1, phase);
  }
});
