import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import type { StatusUpdate } from '../report.ts';
import type { DeadLetterReplaySpec, DeadLetterReplayStatus } from '../api/dead-letter-replay.ts';
import { isFinished } from '../completion.ts';
import { remainingTtlMs } from '../ttl.ts';
import { setConditions } from '#runtime/conditions.ts';
import { requestReplay, readProgress, cancelReplay } from './dead-letters.ts';
import { requestedStatus, progressStatus, acceptedStatus } from './status.ts';

const spec = (more: Partial<DeadLetterReplaySpec> = {}): DeadLetterReplaySpec => ({
  group: 'g',
  maxMessages: 100,
  ...more,
});
const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

describe('dead letters to be replayed', () => {
  let database: TestDatabase;
  let ids: number[];

  const add = async (
    group: string,
    topic: string,
    offset: number,
    reason: string,
    requested?: string,
    error?: string,
  ) => {
    const { rows } = await database.pool.query<{ id: string }>(
      `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", headers, timestamp, reason, attempts, created_at, replay_requested_at, replay_error)
       VALUES ($1, $2, 0, $3, '{}', now(), $4, 1, $5, $6, $7) RETURNING id`,
      [group, topic, offset, reason, at(offset), requested ?? null, error ?? null],
    );
    return Number(rows[0]!.id);
  };
  /** as the group's service does */
  const handle = (id: number, error: string | null) =>
    database.pool.query(
      'UPDATE millrace.dead_letters SET replayed_at = CASE WHEN $2::text IS NULL THEN now() END, replay_error = $2 WHERE id = $1',
      [id, error],
    );

  before(async () => {
    database = await createTestDatabase();
    ids = [
      await add('g', 'orders', 1, 'no such user'),
      await add('g', 'orders', 2, 'bad total'),
      await add('g', 'users', 3, 'no such user'),
      await add('g', 'users', 4, 'no such user', at(0), 'failed before'),
      await add('other', 'orders', 5, 'no such user'),
    ];
  });
  after(() => database.drop());
  const forget = () =>
    database.pool.query(
      'UPDATE millrace.dead_letters SET replay_requested_at = NULL, replayed_at = NULL WHERE id = ANY ($1)',
      [ids.slice(0, 3)],
    );
  const selected = async (more: Partial<DeadLetterReplaySpec>) => {
    const mark = at(100 + Math.floor(Math.random() * 1e6));
    const { selected: count } = await requestReplay(database.pool, spec(more), mark);
    const { rows } = await database.pool.query<{ id: string }>(
      'SELECT id FROM millrace.dead_letters WHERE replay_requested_at = $1 ORDER BY id',
      [mark],
    );
    assert.equal(rows.length, count);
    await forget();
    return rows.map(({ id }) => ids.indexOf(Number(id)));
  };

  it('are those of the group that match everything that is said', async () => {
    assert.deepEqual(await selected({}), [0, 1, 2]);
    assert.deepEqual(await selected({ select: { topic: 'users' } }), [2]);
    assert.deepEqual(await selected({ select: { reason: 'such user' } }), [0, 2]);
    assert.deepEqual(await selected({ select: { reason: 'such user', topic: 'orders' } }), [0]);
    assert.deepEqual(await selected({ select: { after: at(2), before: at(3) } }), [1]);
    assert.deepEqual(await selected({ select: { ids: [ids[1]!, ids[4]!] } }), [1]);
    assert.deepEqual(await selected({ select: { reason: "'; DROP TABLE millrace.dead_letters; --" } }), []);
  });

  it('are neither those that wait behind another one, nor discarded ones', async () => {
    const { rows } = await database.pool.query<{ id: string }>(
      `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", headers, timestamp, reason, attempts, is_waiting, discarded_at)
       VALUES ('g', 'orders', 90, 1, '{}', now(), 'waits', 0, true, NULL), ('g', 'orders', 90, 2, '{}', now(), 'waits', 0, false, now())
       RETURNING id`,
    );
    assert.deepEqual(await selected({ select: { reason: 'waits' } }), []);
    await database.pool.query('DELETE FROM millrace.dead_letters WHERE id = ANY ($1)', [rows.map(({ id }) => id)]);
  });

  it('are none where they are more than allowed', async () => {
    assert.deepEqual(await requestReplay(database.pool, spec({ maxMessages: 2 }), at(20)), {
      selected: 3,
      isTooMany: true,
    });
    assert.equal((await readProgress(database.pool, 'g', at(20))).waiting, 0);
  });

  it('are asked for once, also where the operator did not hear the answer', async () => {
    assert.deepEqual(await requestReplay(database.pool, spec(), at(30)), { selected: 3, isTooMany: false });
    assert.deepEqual(await requestReplay(database.pool, spec(), at(30)), { selected: 3, isTooMany: false });
    assert.deepEqual(await requestReplay(database.pool, spec(), at(31)), { selected: 0, isTooMany: false });
    await handle(ids[0]!, null);
    await handle(ids[1]!, 'bad total again');
    const { waiting, replayed, failed, outcomes } = await readProgress(database.pool, 'g', at(30));
    assert.deepEqual([waiting, replayed, failed], [1, 1, 1]);
    assert.deepEqual(outcomes, [
      { id: ids[1], message: 'orders/0/2', outcome: 'Failed', error: 'bad total again' },
      { id: ids[0], message: 'orders/0/1', outcome: 'Replayed' },
    ]);
    assert.equal(await cancelReplay(database.pool, 'g', at(30)), 1);
    assert.equal((await readProgress(database.pool, 'g', at(30))).waiting, 0);
    // those that failed are for a replay that says so
    assert.deepEqual(await requestReplay(database.pool, spec({ retryFailed: true }), at(32)), {
      selected: 3,
      isTooMany: false,
    });
  });
});

describe('the status of a replay', () => {
  const now = Date.UTC(2026, 0, 1);
  const statusOf = ({ conditions, fields }: StatusUpdate<DeadLetterReplayStatus>): DeadLetterReplayStatus => ({
    ...fields,
    conditions: setConditions(undefined, conditions, 1, now),
  });
  const requested = statusOf(acceptedStatus(now));
  const claimed = (selected: number, isTooMany = false) =>
    statusOf(requestedStatus(requested, spec({ maxMessages: 10 }), { selected, isTooMany }, now));
  const ready = ({ conditions }: DeadLetterReplayStatus) => conditions!.find(({ type }) => type === 'Ready')!.reason;

  it('ends at once where there is nothing to do, or too much', () => {
    assert.equal(ready(claimed(0)), 'NothingToReplay');
    const tooMany = claimed(11, true);
    assert.match(tooMany.conditions![0]!.message, /11 dead letters are selected, more than maxMessages \(10\)/);
    for (const status of [claimed(0), tooMany]) assert.ok(isFinished(status) && status.completionTime);
  });

  it('shows how far it is, then how it ended', () => {
    const at2 = statusOf(progressStatus(claimed(3), { waiting: 1, replayed: 2, failed: 0, outcomes: [] }, now));
    assert.deepEqual([at2.progress, isFinished(at2), ready(at2)], ['2/3', false, 'Replaying']);
    const good = statusOf(progressStatus(at2, { waiting: 0, replayed: 3, failed: 0, outcomes: [] }, now));
    assert.deepEqual([good.progress, isFinished(good), ready(good)], ['3/3', true, 'Replayed']);
    const bad = statusOf(progressStatus(at2, { waiting: 0, replayed: 2, failed: 1, outcomes: [] }, now));
    assert.deepEqual([bad.progress, ready(bad), bad.conditions![0]!.type], ['3/3', 'MessagesFailed', 'Failed']);
    const lost = statusOf(progressStatus(at2, { waiting: 0, replayed: 2, failed: 0, outcomes: [] }, now));
    assert.match(lost.conditions![0]!.message, /1 have become dead letters anew/);
  });

  it('is kept for as long as it says', () => {
    const end = new Date(now).toISOString();
    assert.equal(remainingTtlMs(undefined, end, now), undefined);
    assert.equal(remainingTtlMs(60, end, now + 10_000), 50_000);
    assert.equal(remainingTtlMs(60, end, now + 70_000), 0);
  });
});
