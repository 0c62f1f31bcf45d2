import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import type { ReceivedEvent } from '#platform/contract';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { maxRepeatDistance } from '#streams/engine';
import { listWindows } from '#streams/store';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { oracle, oracleQueries, windowName } from '#streams/testing/oracle.ts';
import { cut, orderEvent, orderStreams, queryOf, runs, start, orderFeed } from '#streams/testing/support.ts';
import { Engine } from './engine.ts';

const group = 'analytics';
const now = () => start + 3_600_000;

const count = `from: [{ topic: order-events }]
keyBy: string(data.userId)
window: { tumbling: 1m, grace: 1d }
select:
  - { name: orders, count: true }
  - { name: revenue, sum: data.totalAmount }
`;
const spike = `from: [{ topic: order-events }]
window: { tumbling: 1m, grace: 1d }
select: [{ name: orders, count: true }]
having: orders > threshold
emit: { to: analytics-alerts }
alert: { severity: warning, message: 'More than {threshold} from {window.start}', threshold: 3 }
`;
const highValue = `from: [{ topic: order-events }]
where: data.totalAmount > 1000.0
keyBy: string(data.orderId)
select: [{ name: total, value: data.totalAmount }]
emit: { to: analytics-alerts }
alert: { severity: info, message: 'Order {key}: {total:2}', threshold: 1000 }
`;

/** An order in a trace of its own. */
function event(id: number, partition = 0): ReceivedEvent {
  return orderEvent({ id, partition, traceparent: `00-${id}` });
}

describe('the engine on PostgreSQL', () => {
  let database: TestDatabase;

  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(async () => {
    await forgetQueries(database.pool);
  });

  async function engineOf(specs: Record<string, string>): Promise<Engine> {
    const queries = Object.entries(specs).map(([name, spec]) => queryOf(name, spec));
    const declared = await declare(database.pool, group, queries);
    return new Engine({ group, pool: database.pool, ...declared, feed: orderFeed, now });
  }

  const handle = (engine: Engine, events: readonly ReceivedEvent[]) =>
    transaction(database.pool, (tx) => engine.handle(tx, events));

  async function rows(sql: string): Promise<Record<string, unknown>[]> {
    return (await database.pool.query<Record<string, unknown>>(sql)).rows;
  }

  const windowsOf = async (engine: Engine, name: string) =>
    listWindows(database.pool, engine.versions.serving.named(name)!, { limit: 10_000 }, undefined);

  it('equals the oracle, whatever the batches are and however often they are rolled back', async () => {
    const cutAndFail = fc.array(fc.record({ size: fc.integer({ min: 1, max: 40 }), fails: fc.boolean() }), {
      minLength: 1,
    });
    const queries = oracleQueries.map(({ query }) => query);
    await fc.assert(
      fc.asyncProperty(orderStreams, cutAndFail, async (events, plan) => {
        await database.pool.query('TRUNCATE stream_counters, stream_watermarks, stream_recent_ids, stream_windows');
        const engine = new Engine({
          group,
          pool: database.pool,
          ...(await declare(database.pool, group, queries)),
          now,
        });
        const batches = cut(
          events,
          plan.map(({ size }) => size),
        );
        for (const [i, batch] of batches.entries()) {
          if (plan[i % plan.length]!.fails) {
            const attempt = transaction(database.pool, async (tx) => {
              await engine.handle(tx, batch);
              throw new Error('the connection is gone');
            });
            await assert.rejects(attempt, /the connection is gone/);
          }
          await handle(engine, batch);
        }
        for (const query of oracleQueries) {
          const { name } = query.query;
          const expected = oracle(query, events);
          const windows = await windowsOf(engine, name);
          const found = windows.map(
            ({ key, windowStart, windowEnd, values }) =>
              [windowName(key, Date.parse(windowStart), Date.parse(windowEnd)), values] as const,
          );
          assert.deepEqual(new Map(found), expected.windows, name);
          const [counters] = await rows(
            `SELECT matched::int, late::int FROM stream_counters WHERE query_id = ${engine.versions.serving.named(name)!.id}`,
          );
          const { matched = 0, late = 0 } = counters ?? {};
          assert.deepEqual({ matched, late }, { matched: expected.matched, late: expected.late }, name);
        }
      }),
      { numRuns: runs(10, 100) },
    );
  });

  it('leaves nothing of a batch that is rolled back', async () => {
    const engine = await engineOf({ count, spike, 'high-value': highValue });
    const events = Array.from({ length: 5 }, (_, i) => orderEvent({ id: i + 1, total: 2000 }));
    const attempt = transaction(database.pool, async (tx) => {
      await engine.handle(tx, events);
      const { rows: within } = await tx.query('SELECT count(*)::int AS n FROM alerts');
      assert.deepEqual(within, [{ n: 6 }]);
      throw new Error('rolled back');
    });
    await assert.rejects(attempt, /rolled back/);
    for (const table of [
      'stream_windows',
      'stream_counters',
      'stream_watermarks',
      'stream_recent_ids',
      'alerts',
      'feed',
      'millrace.outbox',
    ]) {
      assert.deepEqual(await rows(`SELECT * FROM ${table}`), [], table);
    }
  });

  it('counts an event once, also after many events of a topic that was deleted and created again', async () => {
    const earlier = Float64Array.from({ length: 3 * maxRepeatDistance }, (_, i) => i + 1);
    await database.pool.query('INSERT INTO stream_recent_ids VALUES ($1, $2, 0, 100000, $3)', [
      group,
      'order-events',
      Buffer.from(earlier.buffer),
    ]);
    const engine = await engineOf({ count });
    await handle(engine, [event(1)]);
    await handle(engine, [{ ...event(1), offset: 2n }]);
    const [window] = await windowsOf(engine, 'count');
    assert.equal(window?.values['orders'], 1);
  });

  it('takes concurrent batches of the same windows without a deadlock or a lost count', async () => {
    const specs = { count, spike, everything: `${count.replace(/keyBy.*\n/, '')}emit: { to: analytics-events }` };
    const engines = [await engineOf(specs), await engineOf(specs), await engineOf(specs)];
    const users = 50;
    const batches = 12;
    await Promise.all(
      engines.map(async (engine, partition) => {
        for (let batch = 0; batch < batches; batch++) {
          // every process meets the users in another order
          const events = Array.from({ length: users }, (_, i) => {
            const userId = 1 + ((i * (2 * partition + 7) + batch) % users);
            const offset = batch * users + i;
            return orderEvent({ id: partition * batches * users + offset, userId, total: 0.1, partition, offset });
          });
          await handle(engine, events);
        }
      }),
    );
    const windows = await windowsOf(engines[0]!, 'count');
    assert.equal(windows.length, users);
    const expected = batches * engines.length;
    for (const { values } of windows) assert.deepEqual(values, { orders: expected, revenue: expected / 10 });
    const [everything] = await windowsOf(engines[0]!, 'everything');
    assert.deepEqual(everything?.values, { orders: expected * users, revenue: (expected * users) / 10 });
    assert.deepEqual(await rows('SELECT count(*)::int AS n FROM alerts'), [{ n: 1 }]);
  });

  it('raises an alert once for a window and key, with its event and the trace that caused it', async () => {
    const engine = await engineOf({ spike });
    const other = await engineOf({ spike });
    await handle(engine, [event(1), event(2), event(3)]);
    assert.deepEqual(await rows('SELECT * FROM alerts'), []);
    await handle(engine, [event(4), event(5)]);
    await handle(engine, [event(6)]);
    await Promise.all([handle(engine, [event(7)]), handle(other, [event(8, 1)])]);
    const at = new Date(start);
    assert.deepEqual(
      await rows('SELECT type, severity, message, key, window_start, value::int, threshold::int FROM alerts'),
      [
        {
          type: 'spike',
          severity: 'warning',
          message: 'More than 3 from 2026-01-01T00:00:00.000Z',
          key: 'all',
          window_start: at,
          value: 5,
          threshold: 3,
        },
      ],
    );
    const [outbox, ...more] = await readOutbox(database.pool);
    assert.deepEqual(more, []);
    const { data, ...attributes } = outbox!;
    assert.deepEqual(attributes, {
      topic: 'analytics-alerts',
      key: 'spike/all',
      event_id: 'alert-1',
      type: 'alert.raised',
      source: '/analytics',
      traceparent: '00-5',
    });
    const alert = data as Record<string, unknown>;
    assert.equal(typeof alert['createdAt'], 'string');
    assert.deepEqual([alert['id'], alert['windowStart'], alert['value']], [1, at.toISOString(), 5]);
    assert.deepEqual(await rows(`SELECT items FROM feed WHERE kind = 'alert'`), [{ items: JSON.stringify(data) }]);
  });

  it('counts an event once that comes by two partitions', async () => {
    const engine = await engineOf({ count });
    const total = async () =>
      Object.values(await windowsOf(engine, 'count')).reduce((sum, { values }) => sum + Number(values['orders']), 0);
    await handle(engine, [event(1), event(1, 1), event(2, 1)]);
    assert.equal(await total(), 2);
    await handle(await engineOf({ count }), [event(1, 2), event(2, 2), event(3, 2)]); // a worker that has read no other partition
    assert.equal(await total(), 3);
    const other = new Engine({
      group,
      pool: database.pool,
      ...(await declare(database.pool, group, [queryOf('count', count)])),
      now,
    });
    const accumulate = async (partition: number, ...events: ReceivedEvent[]) => {
      await other.prepare({ topic: 'order-events', partition, offset: 0n });
      const accumulation = other.begin();
      accumulation.add({ topic: 'order-events', partition, events, next: 1n });
      return accumulation;
    };
    const undone = await accumulate(3, event(4, 3));
    const repeated = await accumulate(4, event(4, 4), event(3, 4), event(5, 4));
    await transaction(database.pool, (tx) => repeated.write(tx));
    assert.equal(await total(), 4, 'the event of the other partition is not written yet');
    await transaction(database.pool, (tx) => undone.write(tx));
    assert.equal(await total(), 5);
  });

  it('raises an alert for each event of a query without a window, once however often the event comes', async () => {
    const engine = await engineOf({ 'high-value': highValue });
    const high = orderEvent({ id: 7, total: 1000.01, traceparent: '00-7' });
    await handle(engine, [high, orderEvent({ id: 8, total: 1000 }), high]);
    await database.pool.query('TRUNCATE stream_recent_ids'); // as if it were long ago
    await handle(await engineOf({ 'high-value': highValue }), [high]);
    assert.deepEqual(await rows('SELECT message, key, window_start, value::text FROM alerts'), [
      { message: 'Order 7: 1000.01', key: '7', window_start: null, value: '1000.01' },
    ]);
    assert.deepEqual(await rows('SELECT traceparent FROM millrace.outbox'), [{ traceparent: '00-7' }]);
  });

  it('raises an alert for each source of an event id', async () => {
    const own = orderEvent({ id: 7, total: 1000.01 });
    const foreign = { ...own, source: '/elsewhere', isForeign: true };
    const engine = await engineOf({ 'high-value': highValue });
    await handle(engine, [own, foreign, foreign]);
    await database.pool.query('TRUNCATE stream_recent_ids'); // as if it were long ago
    await handle(await engineOf({ 'high-value': highValue }), [foreign, own]);
    assert.deepEqual(await rows('SELECT occurrence FROM alerts ORDER BY id'), [
      { occurrence: '["/elsewhere","order-7-1"]' },
      { occurrence: 'order-7-1' },
    ]);
  });

  it('raises an alert with whatever text, and a number only where PostgreSQL has it', async () => {
    const note = `from: [{ topic: order-events }]
keyBy: string(data.orderId)
select: [{ name: note, value: data.status }]
emit: { to: analytics-alerts }
alert: { severity: info, message: '{note:2}' }
`;
    const engine = await engineOf({ note, count });
    const numbers = ['12.5', '-1e3', '1e131071'];
    const texts = ['', ' ', '0x10', '1e200000', '1e-200000', 'NaN', 'Infinity', 'not a number', '1_0', '\0'];
    const notes = [...numbers, ...texts];
    await handle(
      engine,
      notes.map((status, id) => orderEvent({ id, status })),
    );
    const alerts = await rows('SELECT message, value IS NOT NULL AS has_value FROM alerts ORDER BY key::int');
    assert.deepEqual(
      alerts.map(({ has_value: has }) => has),
      [...numbers.map(() => true), ...texts.map(() => false)],
    );
    assert.deepEqual(
      alerts.slice(numbers.length).map(({ message }) => message),
      texts.map((text) => text.replace('\0', '')),
    );
    const [window] = await windowsOf(engine, 'count');
    assert.equal(window?.values['orders'], notes.length);
  });

  it('takes any text in an alert', async () => {
    const note = `from: [{ topic: order-events }]
select: [{ name: note, value: data.status }]
emit: { to: analytics-alerts }
alert: { severity: info, message: '{note} {note:1}' }
`;
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[ -]?[0-9a-fxX_.]{0,4}[eE]?[+-]?[0-9]{0,6}$/),
    );
    const engine = await engineOf({ note });
    let id = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 50 }), async (texts) => {
        await handle(
          engine,
          texts.map((status) => orderEvent({ id: ++id, status })),
        );
        assert.deepEqual(await rows('SELECT count(*)::int AS n FROM alerts'), [{ n: id }]);
      }),
      { numRuns: runs(20, 1_000) },
    );
  });

  it('raises an alert about a window that ends after the year 9999', async () => {
    const engine = await engineOf({ spike });
    const time = Date.UTC(9999, 11, 31, 23, 59, 59);
    await handle(
      engine,
      [1, 2, 3, 4].map((id) => orderEvent({ id, time })),
    );
    assert.deepEqual(await rows(`SELECT window_end - window_start = interval '1 minute' AS is_whole FROM alerts`), [
      { is_whole: true },
    ]);
  });

  it('publishes the results of a query without a window and without an alert', async () => {
    const spec =
      'from: [{ topic: order-events }]\nselect: [{ name: status, value: data.status }]\nemit: { to: analytics-events }';
    const engine = await engineOf({ statuses: spec });
    await handle(engine, [orderEvent({ id: 1 })]);
    const [written] = await readOutbox(database.pool);
    assert.equal(written?.event_id, 'statuses-v1-all-order-1-1');
    const { query, version, windowStart, values } = written.data as Record<string, unknown>;
    assert.deepEqual(
      { query, version, windowStart, values },
      { query: 'statuses', version: 1, windowStart: null, values: { status: 'PENDING' } },
    );
  });

  it('counts an event once that a relay sends twice, whichever process reads the repetition', async () => {
    const engine = await engineOf({ count });
    const sent = [1, 2, 3].map((id) => orderEvent({ id, offset: id }));
    const again = sent.map((order, i) => ({ ...order, offset: BigInt(4 + i) }));
    await handle(engine, [...sent, ...again]);
    const rolledBack = transaction(database.pool, async (tx) => {
      await engine.handle(tx, [orderEvent({ id: 4, offset: 7 })]);
      throw new Error('rolled back');
    });
    await assert.rejects(rolledBack);
    await handle(engine, [orderEvent({ id: 4, offset: 7 }), orderEvent({ id: 1, offset: 8 })]);
    const other = await engineOf({ count });
    await handle(other, [orderEvent({ id: 2, offset: 9 }), orderEvent({ id: 5, offset: 10 })]);
    const [window] = await windowsOf(engine, 'count');
    assert.deepEqual(window?.values, { orders: 5, revenue: 50 });
  });

  it('keeps which keys occurred where nothing is selected', async () => {
    const engine = await engineOf({ users: count.replace(/select:[^]*/, '') });
    await handle(
      engine,
      [1, 2, 1].map((userId, id) => orderEvent({ id, userId })),
    );
    await handle(engine, [orderEvent({ id: 9, userId: 2 })]);
    const windows = await windowsOf(engine, 'users');
    assert.deepEqual(
      windows.map(({ key, values }) => [key, values]),
      [
        ['1', {}],
        ['2', {}],
      ],
    );
  });

  it('takes any text for a key', async () => {
    const engine = await engineOf({ keys: count.replace('string(data.userId)', 'data.status') });
    const keys = ['NULL', '', '"', '\\', '{}', 'a,b', "'; --", 'ü', ' 1', '1'];
    await handle(
      engine,
      keys.map((status, id) => orderEvent({ id, status })),
    );
    await handle(
      engine,
      keys.map((status, id) => orderEvent({ id: 100 + id, status })),
    );
    const windows = await windowsOf(engine, 'keys');
    assert.deepEqual(
      new Map(windows.map(({ key, values }) => [key, values['orders']])),
      new Map(keys.map((key) => [key, 2])),
    );
  });

  it('counts the events that a query has no result for', async () => {
    const engine = await engineOf({ broken: count.replace('string(data.userId)', 'data.userId'), count });
    await handle(engine, [orderEvent({ id: 1 }), orderEvent({ id: 2 })]);
    assert.deepEqual(
      await rows('SELECT matched::int, failed::int, last_failure FROM stream_counters ORDER BY query_id'),
      [
        { matched: 0, failed: 2, last_failure: 'order-2-1: keyBy is no text' },
        { matched: 2, failed: 0, last_failure: null },
      ],
    );
  });

  it('tells the live stream of orders, one row a batch', async () => {
    const engine = await engineOf({ count });
    await handle(engine, [
      orderEvent({ id: 1 }),
      orderEvent({ id: 2, type: 'order.status-changed', previousStatus: 'PENDING' }),
    ]);
    const [row, ...more] = await rows('SELECT kind, items FROM feed');
    assert.deepEqual(more, []);
    const items = String(row!['items'])
      .split('\n')
      .map((item) => JSON.parse(item) as object);
    const base = { userId: 1, status: 'PENDING', totalAmount: 10, time: '2026-01-01T00:00:00.000Z' };
    assert.deepEqual(items, [
      { ...base, type: 'order.created', orderId: 1 },
      { ...base, type: 'order.status-changed', orderId: 2, previousStatus: 'PENDING' },
    ]);
  });

  it('gives a changed definition a version and windows of its own', async () => {
    const first = await engineOf({ count, spike });
    const same = await engineOf({ count: count.replace('1d', '2d'), spike });
    const changed = await engineOf({ count: count.replace('1m', '2m'), spike });
    const versions = [first, same, changed].map(({ versions: { serving } }) =>
      serving.plans.map(({ query, id, version }) => [query.name, id, version]),
    );
    assert.deepEqual(versions, [
      [
        ['count', 1, 1],
        ['spike', 2, 1],
      ],
      [
        ['count', 1, 1],
        ['spike', 2, 1],
      ],
      [
        ['spike', 2, 1],
        ['count', 3, 2],
      ],
    ]);
  });
});
