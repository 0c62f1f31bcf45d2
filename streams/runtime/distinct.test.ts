import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { MetricUpdated } from '#streams/contract';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { emitDue, listWindows } from '#streams/store';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { orderEvent, queryOf, start } from '#streams/testing/support.ts';
import { Engine } from './engine.ts';

const users = `from: [{ topic: order-events }]
window: { tumbling: 1h, grace: 1d }
select:
  - { name: orders, count: true }
  - { name: users, distinct: string(data.userId), exactUpTo: 100 }
  - { name: states, distinct: data.status }
`;

describe('distinct counts on PostgreSQL', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(async () => {
    await forgetQueries(database.pool);
  });

  async function engineOf(spec: string): Promise<Engine> {
    const { source, versions } = await declare(database.pool, 'analytics', [queryOf('users', spec)]);
    return new Engine({ group: 'analytics', pool: database.pool, source, versions, now: () => start + 86_400_000 });
  }

  let lastId = 0;
  const handle = (engine: Engine, userIds: number[], partition = 0) =>
    transaction(database.pool, (tx) =>
      engine.handle(
        tx,
        userIds.map((userId) => orderEvent({ id: ++lastId, userId, partition, status: `S${userId % 3}` })),
      ),
    );
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

  async function onlyWindow(engine: Engine) {
    const [window, ...others] = await listWindows(
      database.pool,
      engine.versions.serving.plans[0]!,
      { limit: 9 },
      undefined,
    );
    assert.deepEqual(others, []);
    return window!;
  }

  it('are exact up to their bound, and beyond it say that they are estimates', async () => {
    const engine = await engineOf(`${users}emit: { to: analytics-events, every: 0s }`);
    await handle(engine, [1, 2, 1]);
    await handle(engine, [2, 3]);
    let window = await onlyWindow(engine);
    assert.deepEqual([window.values, window.estimates], [{ orders: 5, users: 3, states: 3 }, undefined]);
    await handle(engine, range(1, 101));
    await emitDue(database.pool, engine.versions);
    assert.equal((await onlyWindow(engine)).values['users'], 100);
    await handle(engine, range(90, 1001));
    await emitDue(database.pool, engine.versions);
    window = await onlyWindow(engine);
    const { users: estimate } = window.values;
    assert.ok(Number(estimate) > 950 && Number(estimate) < 1050, `${estimate} for 1000`);
    assert.deepEqual(window.estimates, ['users']);
    const events = await readOutbox(database.pool);
    assert.deepEqual(
      events.map(({ data }) => {
        const { values, estimates } = data as MetricUpdated;
        return [values, estimates];
      }),
      [
        [{ orders: 105, users: 100, states: 3 }, undefined],
        [{ orders: 1016, users: estimate, states: 3 }, ['users']],
      ],
    );
  });

  it('are the same where several workers add to them at once', async () => {
    const engines = await Promise.all([1, 2, 3].map(() => engineOf(users)));
    await Promise.all(
      engines.map(async (engine, partition) => {
        for (let batch = 0; batch < 12; batch++) {
          await handle(engine, range(batch * 5, batch * 5 + 30), partition);
        }
      }),
    );
    assert.deepEqual((await onlyWindow(engines[0]!)).values, { orders: 1080, users: 85, states: 3 });
  });

  it('may raise an alert, once', async () => {
    const engine = await engineOf(`${users}having: users > threshold
emit: { to: analytics-alerts }
alert: { severity: info, message: '{users} of {threshold}', threshold: 4 }`);
    await handle(engine, [1, 2, 3, 4, 1]);
    await handle(engine, [4, 5]);
    await handle(engine, [6]);
    const { rows } = await database.pool.query('SELECT message FROM alerts');
    assert.deepEqual(rows, [{ message: '5 of 4' }]);
  });

  it('are those of the whole session where sessions become one', async () => {
    const engine = await engineOf(users.replace('tumbling: 1h', 'session: 1h'));
    const at = (minutes: number, userId: number) =>
      orderEvent({ id: ++lastId, userId, status: 'S', time: start + minutes * 60_000 });
    await transaction(database.pool, (tx) => engine.handle(tx, [at(0, 1), at(0, 2), at(90, 2), at(90, 3)]));
    await transaction(database.pool, (tx) => engine.handle(tx, [at(45, 1)]));
    assert.deepEqual((await onlyWindow(engine)).values, { orders: 5, users: 3, states: 1 });
  });

  it('close once, and what comes later changes nothing', async () => {
    const engine = await engineOf(`${users}emit: { to: analytics-events, on: close }`);
    await handle(engine, [1, 2]);
    await database.pool.query('UPDATE stream_windows SET closed = true');
    await handle(engine, [3]);
    assert.deepEqual((await onlyWindow(engine)).values, { orders: 2, users: 2, states: 2 });
  });

  it('take only texts that a database row can hold', async () => {
    const engine = await engineOf(users.replace('data.status', 'data.totalAmount'));
    await handle(engine, [1]);
    const { rows } = await database.pool.query('SELECT failed::int, last_failure FROM stream_counters');
    assert.deepEqual(rows, [{ failed: 1, last_failure: `order-${lastId}-1: data.totalAmount is no text` }]);
  });
});
