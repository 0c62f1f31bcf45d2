import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { requestRebuild, cancelRebuild, findRebuild, hasReadModel } from './requests.ts';
import { isOverdue, progressOf, progressStatus } from './status.ts';

describe('asking for a rebuild', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
  });
  after(() => database.drop());

  it('is possible where the service has said that it can build anew', async () => {
    const { pool } = database;
    await pool.query("INSERT INTO millrace.projections VALUES ('g')");
    assert.deepEqual([await hasReadModel(pool, 'g'), await hasReadModel(pool, 'other')], [true, false]);
  });

  it('is done once, one at a time for each group, and can be taken back', async () => {
    const { pool } = database;
    const first = await requestRebuild(pool, 'g', 'one');
    assert.deepEqual([first?.version, first?.phase], [2, 'Requested']);
    assert.deepEqual(await requestRebuild(pool, 'g', 'one'), first);
    assert.equal(await requestRebuild(pool, 'g', 'two'), undefined);
    assert.ok(await requestRebuild(pool, 'other', 'three'));
    await cancelRebuild(pool, 'one', 'no longer wanted');
    assert.deepEqual((await findRebuild(pool, 'one'))?.error, 'no longer wanted');
    assert.equal((await requestRebuild(pool, 'g', 'two'))?.phase, 'Requested');
    await cancelRebuild(pool, 'one', 'again');
    assert.deepEqual((await findRebuild(pool, 'one'))?.error, 'no longer wanted');
  });
});

describe('the status of a rebuild', () => {
  const now = Date.UTC(2026, 0, 1);
  const building = { version: 2, phase: 'Building', events: 30, lag: 70, error: undefined } as const;

  it('shows how far it is, then how it ended', () => {
    const { conditions, fields } = progressStatus(undefined, building, now);
    assert.deepEqual([fields.progress, fields.lag, conditions[0]?.reason], ['30%', 70, 'Building']);
    const waiting = progressStatus(undefined, { ...building, error: 'no leader' }, now);
    assert.deepEqual([waiting.conditions[0]?.reason, waiting.conditions[0]?.message], ['Building', 'no leader']);
    const done = progressStatus({ startTime: 'then' }, { ...building, phase: 'Switched' }, now);
    assert.deepEqual(
      done.conditions.map(({ type, status }) => `${type} ${status}`),
      ['Complete True', 'Ready True'],
    );
    assert.deepEqual([done.fields.progress, done.fields.startTime], ['100%', 'then']);
    const failed = progressStatus(undefined, { ...building, phase: 'Failed', error: 'why' }, now);
    assert.deepEqual([failed.conditions[0]?.type, failed.conditions[0]?.message], ['Failed', 'why']);
  });

  it('is 100 % only when it is in use', () => {
    assert.equal(progressOf({ phase: 'Building', events: 100, lag: 0 }), '99%');
    assert.equal(progressOf({ phase: 'Building', events: 0, lag: 0 }), '0%');
    assert.equal(progressOf({ phase: 'Requested', events: 0, lag: undefined }), '0%');
  });

  it('is overdue after its timeout', () => {
    const status = { startTime: new Date(now).toISOString() };
    assert.equal(isOverdue({ timeoutSeconds: 60 }, status, now + 59_000), false);
    assert.equal(isOverdue({ timeoutSeconds: 60 }, status, now + 61_000), true);
    assert.equal(isOverdue({}, status, now + 1e9), false);
  });
});
