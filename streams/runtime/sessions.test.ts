import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { cleanUp, closeDue, emitDue, forgetWindows, listWindows } from '#streams/store';
import type { WindowFilter } from '#streams/store';
import { idleAfterMs } from '#streams/engine/query-progress.ts';
import type { Observation } from '#streams/engine';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { orderEvent, queryOf, start } from '#streams/testing/support.ts';
import type { OrderEventOptions } from '#streams/testing/support.ts';
import { Engine } from './engine.ts';

const minute = 60_000;
const visits = `from: [{ topic: order-events }]
keyBy: string(data.userId)
window: { session: 10m, grace: 1h, retention: 7d }
select: [{ name: orders, count: true }, { name: revenue, sum: data.totalAmount }, { name: most, max: data.totalAmount }]
`;
const onChange = `${visits}emit: { to: revenue-analytics, every: 0s }\n`;
const onClose = `${visits}emit: { to: revenue-analytics, on: close }\n`;
const onAlert = `${visits}having: orders > threshold
emit: { to: analytics-alerts }
alert: { severity: info, message: '{orders} by {window.end}', threshold: 2 }
`;

describe('sessions', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(async () => {
    await forgetQueries(database.pool);
  });

  async function engineOf(spec: string): Promise<Engine> {
    const { source, versions } = await declare(database.pool, 'analytics', [queryOf('visits', spec)]);
    return new Engine({
      group: 'analytics',
      pool: database.pool,
      source,
      versions,
      now: () => start + 30 * 86_400_000,
    });
  }

  let lastId = 0;
  /** Events at some minutes, in one transaction. */
  const handle = (engine: Engine, minutes: number[], options: Partial<OrderEventOptions> = {}) =>
    transaction(database.pool, (tx) =>
      engine.handle(
        tx,
        minutes.map((at) => orderEvent({ id: ++lastId, time: start + at * minute, ...options })),
      ),
    );

  /** The sessions as `first–last minute: orders`, the gap left out. */
  async function sessionsOf(engine: Engine, filter: Partial<WindowFilter> = {}): Promise<string[]> {
    const plan = engine.versions.serving.named('visits')!;
    const windows = await listWindows(database.pool, plan, { limit: 1000, ...filter }, undefined);
    return windows.toReversed().map(({ windowStart, windowEnd, values }) => {
      const [first, last] = [Date.parse(windowStart), Date.parse(windowEnd) - 10 * minute];
      return `${(first - start) / minute}-${(last - start) / minute}: ${values['orders']}`;
    });
  }

  async function rows(sql: string): Promise<Record<string, unknown>[]> {
    return (await database.pool.query<Record<string, unknown>>(sql)).rows;
  }

  const observed = (minutes: number, age = 0, now = start): Observation => {
    const watermarks = new Map([['', { watermark: start + minutes * minute, updatedAt: now - age }]]);
    const state = { offsets: { low: 0n, high: 5n }, nextOffset: 5n, watermarks };
    return { now, partitions: [{ topic: 'order-events', partition: 0, ...state }] };
  };
  const close = (engine: Engine, minutes: number, age = 0) =>
    closeDue(database.pool, engine.versions.serving, observed(minutes, age));
  const forget = async (engine: Engine, minutes: number) => {
    await forgetWindows(database.pool, engine.versions.serving, observed(minutes, 0, start + 30 * 86_400_000));
    await cleanUp(database.pool);
  };

  it('hold events that are a gap apart at most, in whatever order and batches they come', async () => {
    const engine = await engineOf(visits);
    await handle(engine, [0, 10, 20.1, 50]);
    assert.deepEqual(await sessionsOf(engine), ['0-10: 2', '20.1-20.1: 1', '50-50: 1']);
    await handle(engine, [30, 40]);
    assert.deepEqual(await sessionsOf(engine), ['0-10: 2', '20.1-50: 4']);
    await handle(engine, [11, -9], { total: 70 });
    assert.deepEqual(await sessionsOf(engine), ['-9-50: 8']);
    const [{ values } = { values: {} }] = await listWindows(
      database.pool,
      engine.versions.serving.named('visits')!,
      { limit: 1 },
      undefined,
    );
    assert.deepEqual(values, { orders: 8, revenue: 200, most: 70 });
  });

  it('are what they are where the transaction that writes them fails and is tried again', async () => {
    const engine = await engineOf(visits);
    await handle(engine, [10]);
    const events = [1, 19].map((at) => orderEvent({ id: ++lastId, time: start + at * minute, partition: 1 }));
    await engine.prepare({ topic: 'order-events', partition: 1, offset: events[0]!.offset });
    const accumulation = engine.begin();
    accumulation.add({ topic: 'order-events', partition: 1, events, next: 1_000n });
    const attempt = transaction(database.pool, async (tx) => {
      await accumulation.write(tx);
      throw new Error('the connection is gone');
    });
    await assert.rejects(attempt, /the connection is gone/);
    await transaction(database.pool, (tx) => accumulation.write(tx));
    assert.deepEqual(await sessionsOf(engine), ['1-19: 3']);
  });

  it('are listed by when they end and start', async () => {
    const engine = await engineOf(visits);
    await handle(engine, [0, 8, 16, 100]);
    const at = (minutes: number) => new Date(start + minutes * minute);
    assert.deepEqual(await sessionsOf(engine, { from: at(25) }), ['0-16: 3', '100-100: 1']);
    assert.deepEqual(await sessionsOf(engine, { from: at(26) }), ['100-100: 1']);
    assert.deepEqual(await sessionsOf(engine, { to: at(100) }), ['0-16: 3']);
  });

  it('take what is late by nobody else: an event counts by its own time, not by the session that it meets', async () => {
    const engine = await engineOf(visits);
    await handle(engine, [100, 30.1, 30]); // 100 - 10 (gap) - 60 (grace): late at 30, though it touches a session
    assert.deepEqual(await sessionsOf(engine), ['30.1-30.1: 1', '100-100: 1']);
    assert.deepEqual(await rows('SELECT matched::int, late::int FROM stream_counters'), [{ matched: 2, late: 1 }]);
  });

  it('are exact where several workers write to the same keys', async () => {
    const engines = await Promise.all([1, 2, 3, 4].map(() => engineOf(onChange)));
    const users = 40;
    const rounds = 20;
    await Promise.all([
      ...engines.map(async (engine, partition) => {
        for (let round = 0; round < rounds; round++) {
          // every worker has other minutes of a user, none of which touch until all are there
          const events = Array.from({ length: users }, (_, i) => {
            const userId = 1 + ((i * [3, 7, 9, 11][partition]! + round) % users);
            const time = start + (round * 4 + partition) * 6 * minute;
            return orderEvent({ id: ++lastId, userId, time, partition, total: 0.1 });
          });
          await transaction(database.pool, (tx) => engine.handle(tx, events));
        }
      }),
      (async () => {
        for (let i = 0; i < 30; i++) await emitDue(database.pool, engines[0]!.versions);
      })(),
    ]);
    const windows = await listWindows(
      database.pool,
      engines[0]!.versions.serving.named('visits')!,
      { limit: 1000 },
      undefined,
    );
    assert.equal(windows.length, users);
    for (const { values } of windows) assert.deepEqual(values, { orders: 80, revenue: 8, most: 0.1 });
  });

  describe('that raise an alert', () => {
    it('raise it once, however they grow', async () => {
      const engine = await engineOf(onAlert);
      await handle(engine, [10, 11, 12]);
      await handle(engine, [13, 5]);
      await handle(engine, [0]);
      assert.deepEqual(await rows('SELECT message, window_start FROM alerts'), [
        { message: '3 by 2026-01-01T00:22:00.000Z', window_start: new Date(start + 10 * minute) },
      ]);
      await handle(engine, [60, 61, 62]);
      assert.equal((await rows('SELECT * FROM alerts')).length, 2);
    });

    it('raise none when they become part of one that has', async () => {
      const engine = await engineOf(onAlert);
      await handle(engine, [0, 20, 21, 22]);
      await handle(engine, [10]);
      await handle(engine, [40, 41]);
      await handle(engine, [31]);
      assert.deepEqual(await sessionsOf(engine), ['0-41: 8']);
      assert.deepEqual(
        (await rows('SELECT window_start FROM alerts')).map(({ window_start: at }) => at),
        [new Date(start + 20 * minute)],
      );
    });
  });

  describe('that are emitted', () => {
    async function published() {
      const events = await readOutbox(database.pool);
      return events.map(({ event_id: id, data }) => ({ id, ...(data as Record<string, unknown>) }));
    }
    const id = (at: number, count: number) => `visits-v1-1-${start + at * minute}-${count}`;
    const iso = (at: number) => new Date(start + at * minute).toISOString();

    it('name those emitted before that they have taken the place of', async () => {
      const engine = await engineOf(onChange);
      const emit = () => emitDue(database.pool, engine.versions);
      await handle(engine, [0]);
      await emit();
      await handle(engine, [1, 20]);
      await emit();
      await handle(engine, [11]);
      await emit();
      await handle(engine, [-5]);
      await handle(engine, [-9]);
      await emit();
      const events = await published();
      assert.deepEqual(
        events.map((event) => [event.id, event['windowEnd' as never], event['replaces' as never]]),
        [
          [id(0, 1), iso(10), undefined],
          [id(0, 2), iso(11), undefined],
          [id(20, 1), iso(30), undefined],
          [id(0, 3), iso(30), [iso(20)]],
          [id(-9, 1), iso(30), [iso(0), iso(20)]],
        ],
      );
    });

    it('on close come once, when no event can join them any more', async () => {
      const engine = await engineOf(onClose);
      await handle(engine, [0, 5]);
      // the last event that would join them is of minute 15, and in time until minute 85
      assert.equal((await close(engine, 84.9)).emitted, 0);
      assert.equal((await close(engine, 85)).emitted, 1);
      assert.equal((await close(engine, 500)).emitted, 0);
      const [event] = await published();
      assert.deepEqual(
        [event?.id, event?.['windowEnd' as never], event?.['closed' as never]],
        [`visits-v1-1-${iso(0)}`, iso(15), true],
      );
    });

    it('on close are final: what an idle partition brings later is counted as late', async () => {
      const engine = await engineOf(onClose);
      await handle(engine, [0, 5]);
      await close(engine, 0, idleAfterMs);
      await close(engine, 85);
      await handle(engine, [15, 30], { partition: 1 });
      assert.deepEqual(await sessionsOf(engine), ['0-5: 2', '30-30: 1']);
      assert.deepEqual(await rows('SELECT matched::int, late::int FROM stream_counters'), [{ matched: 3, late: 1 }]);
    });
  });

  it('are forgotten after their retention', async () => {
    const engine = await engineOf(visits);
    const day = 24 * 60;
    await handle(engine, [0, 8, 16]);
    await handle(engine, [7 * day + 25]);
    await forget(engine, 7 * day + 25);
    assert.equal((await sessionsOf(engine)).length, 2);
    await handle(engine, [7 * day + 26]);
    await forget(engine, 7 * day + 26);
    assert.deepEqual(await sessionsOf(engine), [`${7 * day + 25}-${7 * day + 26}: 2`]);
  });

  it('take nothing more when they are forgotten: what an idle partition brings for them is late', async () => {
    const engine = await engineOf(visits);
    await handle(engine, [0, 8, 16]);
    await forget(engine, 7 * 24 * 60 + 26);
    await handle(engine, [20], { partition: 1 });
    await handle(engine, [26, 36], { partition: 1 }); // by itself, the second one touches no forgotten session
    assert.deepEqual(await sessionsOf(engine), ['36-36: 1']);
    assert.deepEqual(await rows('SELECT matched::int, late::int FROM stream_counters'), [{ matched: 4, late: 2 }]);
  });
});
