import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Health } from '#platform/health';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { idleAfterMs, queryWatermark } from '#streams/engine/query-progress.ts';
import type { Observation, PartitionState, Plan } from '#streams/engine';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { orderEvent, queryOf, start } from '#streams/testing/support.ts';
import { cleanUp, closeDue, emitDue, forgetWindows, lockVersionsShared, readPositions } from '#streams/store';
import { Engine } from './engine.ts';
import { StreamObserver } from './observer.ts';
import { createWorkers } from './workers.ts';

const revenue = `from: [{ topic: order-events }]
keyBy: string(data.userId)
window: { tumbling: 1m, grace: 1m, retention: 1h }
select: [{ name: revenue, sum: data.totalAmount }]
`;
const onChange = (every: string, having = '') =>
  `${revenue}${having}emit: { to: revenue-analytics, every: ${every} }\n`;
const onClose = `${revenue}having: revenue < threshold
emit: { to: analytics-alerts, on: close }
alert: { severity: warning, message: '{revenue:2} is less than {threshold}', threshold: 15 }
`;

const hour = 3_600_000;
const now = start + 24 * hour;

/** A partition, whose clock stands at a time since some milliseconds. */
function partitionAt(partition: number, watermark: number, { age = 0, unread = 0n } = {}): PartitionState {
  const watermarks = new Map([['', { watermark, updatedAt: now - age }]]);
  const offsets = { low: 0n, high: 5n + unread };
  return { topic: 'order-events', partition, offsets, nextOffset: 5n, watermarks };
}

const log = createLogger('emission-test', 'silent');

/** Lets the time of `performance.now()` pass. */
function movedClock(t: TestContext) {
  const real = performance.now.bind(performance);
  let ahead = 0;
  t.mock.method(performance, 'now', () => real() + ahead);
  return { passes: (ms: number) => void (ahead += ms) };
}

/** One partition, whose clock stands at a time since some milliseconds. */
const stream = (watermark: number, age = 0): Observation => ({ now, partitions: [partitionAt(0, watermark, { age })] });

describe('what windows emit', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(async () => {
    await forgetQueries(database.pool);
  });

  async function engineOf(spec: string): Promise<Engine> {
    const { source, versions } = await declare(database.pool, 'analytics', [queryOf('revenue', spec)]);
    return new Engine({ group: 'analytics', pool: database.pool, source, versions, now: () => now });
  }

  const handle = (engine: Engine, ...events: Parameters<typeof orderEvent>[0][]) =>
    transaction(database.pool, (tx) => engine.handle(tx, events.map(orderEvent)));

  async function published(): Promise<Record<string, unknown>[]> {
    const events = await readOutbox(database.pool);
    return events.map(({ event_id: id, data }) => ({ id, ...(data as Record<string, unknown>) }));
  }

  /** Makes it so that everything due within a day is due now. */
  const dayPasses = () => database.pool.query(`UPDATE stream_windows SET due_at = due_at - interval '1 day'`);

  it('is held back for the interval, and then said once for all changes', async () => {
    const engine = await engineOf(onChange('1h'));
    await handle(engine, { id: 1, total: 10 }, { id: 2, total: 5, userId: 2 });
    await handle(engine, { id: 3, total: 0.5 });
    assert.deepEqual(await emitDue(database.pool, engine.versions), { emitted: 0, more: false, failures: [] });
    await dayPasses();
    assert.deepEqual(await emitDue(database.pool, engine.versions), { emitted: 2, more: false, failures: [] });
    const metrics = await published();
    assert.deepEqual(
      new Map(metrics.map(({ id, key, values }) => [id, [key, values]])),
      new Map([
        [`revenue-v1-1-${start}-1`, ['1', { revenue: 10.5 }]],
        [`revenue-v1-2-${start}-1`, ['2', { revenue: 5 }]],
      ]),
    );
    const { query, version, windowStart, windowEnd, closed } = metrics[0]!;
    assert.deepEqual([query, version, closed], ['revenue', 1, false]);
    assert.deepEqual(
      [windowStart, windowEnd],
      [start, start + 60_000].map((time) => new Date(time).toISOString()),
    );
    const { rows } = await database.pool.query(
      `SELECT cardinality(string_to_array(items, E'\\n')) AS n FROM feed WHERE kind = 'metric'`,
    );
    assert.deepEqual(rows, [{ n: 2 }]);
  });

  it('is said again after another change, and not without one', async () => {
    const engine = await engineOf(onChange('0s'));
    await handle(engine, { id: 1 });
    await emitDue(database.pool, engine.versions);
    await emitDue(database.pool, engine.versions);
    await handle(engine, { id: 2 });
    await emitDue(database.pool, engine.versions);
    assert.deepEqual(
      (await published()).map(({ id, values }) => [id, values]),
      [
        [`revenue-v1-1-${start}-1`, { revenue: 10 }],
        [`revenue-v1-1-${start}-2`, { revenue: 20 }],
      ],
    );
  });

  it('passes having', async () => {
    const engine = await engineOf(onChange('0s', 'having: revenue > 15.0\n'));
    await handle(engine, { id: 1, total: 15 }, { id: 2, total: 16, userId: 2 });
    assert.deepEqual(await emitDue(database.pool, engine.versions), { emitted: 1, more: false, failures: [] });
    assert.deepEqual(
      (await published()).map(({ key }) => key),
      ['2'],
    );
  });

  it('is said by one of several processes', async () => {
    const engine = await engineOf(onChange('0s'));
    await handle(engine, ...Array.from({ length: 300 }, (_, i) => ({ id: i + 1, userId: i + 1 })));
    const rounds = await Promise.all([1, 2, 3].map(() => emitDue(database.pool, engine.versions)));
    assert.equal(
      rounds.reduce((sum, { emitted }) => sum + emitted, 0),
      300,
    );
    assert.equal(new Set((await published()).map(({ id }) => id)).size, 300);
  });

  describe('on close', () => {
    it('comes once, when the watermark has passed end and grace', async () => {
      const engine = await engineOf(onClose);
      await handle(engine, { id: 1, total: 10 }, { id: 2, total: 20, userId: 2 });
      const close = (watermark: number) => closeDue(database.pool, engine.versions.serving, stream(watermark));
      assert.deepEqual(await close(start + 119_999), { emitted: 0, more: false, failures: [] });
      assert.deepEqual(await close(start + 120_000), { emitted: 1, more: false, failures: [] });
      assert.deepEqual(await close(start + 500_000), { emitted: 0, more: false, failures: [] });
      assert.deepEqual(
        (await published()).map(({ id, key, message, value }) => [id, key, message, value]),
        [[1, '1', '10.00 is less than 15', 10]],
      );
      const { rows } = await database.pool.query('SELECT key, closed FROM stream_windows ORDER BY key');
      assert.deepEqual(rows, [
        { key: '1', closed: true },
        { key: '2', closed: true },
      ]);
    });

    it('comes in a quiet time too: idle partitions hold nothing open', async () => {
      const engine = await engineOf(onClose);
      await handle(engine, { id: 1 });
      assert.equal((await closeDue(database.pool, engine.versions.serving, stream(start))).emitted, 0);
      assert.equal((await closeDue(database.pool, engine.versions.serving, stream(start, idleAfterMs))).emitted, 1);
    });

    for (const [name, brings, expected] of [
      ['comes although a partition has no more events of the clock that the query names, but others', {}, 2],
      ['waits for a partition with events of that clock', { type: 'order.deleted', time: start - 1_000 }, 0],
    ] as const)
      it(name, async () => {
        const engine = await engineOf(`from: [{ topic: order-events, types: [order.deleted] }]
timestamp: timestamp(data.createdAt)
window: { tumbling: 1m, grace: 1m }
select: [{ name: orders, count: true }]
emit: { to: revenue-analytics, on: close }
`);
        const type = 'order.deleted';
        await handle(engine, { id: 1, type, partition: 0 }, { id: 2, type, partition: 1, time: start + hour });
        await database.pool.query(`UPDATE stream_watermarks SET updated_at = updated_at - interval '1 minute'`);
        await handle(
          engine,
          { id: 3, partition: 0, time: start + hour, ...brings },
          { id: 4, type, partition: 1, time: start + 2 * hour },
        );
        const { now: time, partitions } = await readPositions(database.pool, 'analytics');
        const read = partitions.map((known) => ({ ...known, offsets: { low: 0n, high: 0n } }));
        const { emitted } = await closeDue(database.pool, engine.versions.serving, { now: time, partitions: read });
        assert.equal(emitted, expected);
      });

    it('is final: an event behind it is counted as late, not added', async () => {
      const engine = await engineOf(onClose);
      await handle(engine, { id: 1, total: 10 });
      await closeDue(database.pool, engine.versions.serving, stream(start + 120_000));
      // in another partition, whose own clock has not come so far
      await handle(engine, { id: 2, total: 10, partition: 1 }, { id: 3, total: 10, partition: 1, userId: 3 });
      const { rows } = await database.pool.query(
        'SELECT key, accumulators::text AS sum FROM stream_windows ORDER BY key',
      );
      assert.deepEqual(rows, [
        { key: '1', sum: '{10}' },
        { key: '3', sum: '{10}' },
      ]);
      const counters = await database.pool.query('SELECT matched::int, late::int FROM stream_counters');
      assert.deepEqual(counters.rows, [{ matched: 2, late: 1 }]);
    });
  });

  describe('on close of windows that overlap', () => {
    const hopping = `from: [{ topic: order-events }]
window: { hopping: { size: 1h, advance: 5m }, grace: 0s }
select: [{ name: orders, count: true }]
emit: { to: revenue-analytics, on: close }
`;
    const counted = async () =>
      (await database.pool.query('SELECT matched::int, late::int FROM stream_counters')).rows as unknown[];

    /** An event at the start, whose windows are closed up to a time, and then another one from a partition that was idle. */
    async function bringLater(closedTo: number) {
      const engine = await engineOf(hopping);
      await handle(engine, { id: 1 });
      await closeDue(database.pool, engine.versions.serving, stream(closedTo));
      await handle(engine, { id: 2, partition: 1 }, { id: 3, partition: 1, time: start + 30 * hour });
      return engine;
    }

    it('counts an event as late once that comes after all of them', async () => {
      await bringLater(start + hour);
      assert.deepEqual(await counted(), [{ matched: 2, late: 1 }]);
    });

    it('counts an event, and as late, that some of them take', async () => {
      const engine = await bringLater(start + 15 * 60_000);
      assert.deepEqual(await counted(), [{ matched: 3, late: 1 }]);
      await handle(engine, { id: 4, partition: 2, time: start + 60_000 }, { id: 5, partition: 2, time: start + 1 });
      assert.deepEqual(await counted(), [{ matched: 5, late: 3 }]);
    });

    it('counts an event as late once, of which some are over by its own partition and the others closed', async () => {
      const engine = await engineOf(hopping);
      await handle(engine, { id: 1 });
      await closeDue(database.pool, engine.versions.serving, stream(start + hour));
      await handle(engine, { id: 2, partition: 1, time: start + 30 * 60_000 }, { id: 3, partition: 1 });
      assert.deepEqual(await counted(), [{ matched: 2, late: 2 }]);
    });
  });

  it('is measured by what Kafka and the database say together', async () => {
    const engine = await engineOf(onClose);
    await handle(engine, { id: 1, partition: 0 }, { id: 2, partition: 1, time: start + 5_000 });
    await database.pool
      .query(`INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset, topic_id)
      VALUES ('analytics', 'order-events', 0, 3, NULL), ('other', 'order-events', 1, 9, NULL),
        ('analytics', 'order-events', 3, 3, 'present'), ('analytics', 'order-events', 4, 3, 'deleted')`);
    const observer = new StreamObserver({
      admin: {
        topicId: () => Promise.resolve('present'),
        watermarks: async () =>
          new Map([
            [0, { low: 0n, high: 3n }],
            [1, { low: 0n, high: 4n }],
            [2, { low: 0n, high: 0n }],
            [3, { low: 0n, high: 3n }],
            [4, { low: 0n, high: 3n }],
          ]),
      },
      pool: database.pool,
      group: 'analytics',
      topics: () => ['order-events'],
    });
    assert.equal(await observer.observe(), undefined);
    await observer.refresh();
    const { partitions = [] } = (await observer.observe()) ?? {};
    assert.deepEqual(
      partitions.map(({ partition, nextOffset, watermarks }) => [partition, nextOffset, watermarks.get('')?.watermark]),
      [
        [0, 3n, start],
        [1, undefined, start + 5_000],
        [2, undefined, undefined],
        [3, 3n, undefined],
        [4, undefined, undefined],
      ],
    );
  });

  it('is not known of a topic of which Kafka tells nothing, which holds up no other', async (t) => {
    const { passes } = movedClock(t);
    let isThere = true;
    const observer = new StreamObserver({
      admin: {
        topicId: () => Promise.resolve(undefined),
        watermarks: (topic) =>
          isThere && topic === 'order-events'
            ? Promise.resolve(new Map([[0, { low: 0n, high: 0n }]]))
            : Promise.reject(new Error(`${topic}/0 has no leader`)),
      },
      pool: database.pool,
      group: 'analytics',
      topics: () => ['user-events', 'order-events'],
    });
    await observer.refresh();
    const observation = await observer.observe();
    const plan = (...topics: string[]) =>
      ({ clock: '', query: { from: topics.map((topic) => ({ topic })) } }) as unknown as Plan;
    assert.ok(queryWatermark(plan('order-events'), observation!));
    assert.equal(queryWatermark(plan('order-events', 'user-events'), observation!), undefined);
    observer.check();
    passes(15_000);
    await observer.refresh();
    assert.throws(() => observer.check(), {
      code: 'ERR_QUERY_TOPIC_UNOBSERVED',
      message: 'windows stay open, because Kafka has told nothing of user-events for 15 s: user-events/0 has no leader',
    });
    isThere = false;
    await assert.rejects(observer.refresh(), /has no leader/);
  });

  /** The workers of an engine, whose one partition is read to its end. */
  function workersOf({ versions }: Engine) {
    const { pool } = database;
    const health = new Health();
    const admin = {
      topicId: () => Promise.resolve(undefined),
      watermarks: () => Promise.resolve(new Map([[0, { low: 0n, high: 0n }]])),
    };
    const observer = new StreamObserver({ admin, pool, group: 'analytics', topics: () => ['order-events'] });
    const board = { sample: () => Promise.resolve() };
    const options = { pool, log, health, versions: () => versions, observer, board };
    return { health, observer, workers: createWorkers({ ...options, onEmitted: () => undefined }) };
  }

  it('of a query that fails holds up no other, and health says so after 15 s', async (t) => {
    const { pool } = database;
    const emitting = ['a-failing', 'b-sound'].map((name) => queryOf(name, onChange('0s')));
    const closing = ['c-failing', 'd-sound'].map((name) => queryOf(name, onClose));
    const { source, versions } = await declare(pool, 'analytics', [...emitting, ...closing]);
    const engine = new Engine({ group: 'analytics', pool, source, versions, now: () => start + 86_400_000 });
    await handle(engine, { id: 1, total: 10 }, { id: 2, total: 10, time: start + 300_000 });
    const failing = ['a-failing', 'c-failing'].map((name) => versions.serving.named(name)!.id);
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE ON stream_windows FOR EACH ROW WHEN (NEW.query_id IN (${failing.join()}))
        EXECUTE FUNCTION refuse()`);
    const { passes } = movedClock(t);
    const { health, workers } = workersOf(engine);
    t.after(() => Promise.all(workers.map((worker) => worker.stop())));
    for (const worker of workers) worker.start();
    /** how many events the outbox has of each query, when the workers have had another round */
    const counts = async () => {
      for (const worker of workers) worker.wake();
      const names = (await published()).map(({ query, type }) => String(query ?? type));
      return Object.fromEntries([...Map.groupBy(names, String)].map(([name, all]) => [name, all.length]));
    };
    const reach = (expected: Record<string, number>) =>
      eventually(async () => isDeepStrictEqual(await counts(), expected), JSON.stringify(expected), 20_000);
    const reasons = async () => {
      const { checks } = await health.report();
      return [checks['emit changed windows']!.reason, checks['close windows']!.reason];
    };
    await reach({ 'b-sound': 2, 'd-sound': 1 });
    assert.deepEqual(await reasons(), [undefined, undefined]);
    passes(15_000);
    await eventually(async () => {
      const [emit, close] = await reasons();
      return (
        /^windows cannot be emitted: those of a-failing for \d+ s: refused$/.test(emit ?? '') &&
        /^windows cannot be closed: those of c-failing for \d+ s: refused$/.test(close ?? '')
      );
    }, 'health names both');
    await pool.query('DROP TRIGGER refuse ON stream_windows; DROP FUNCTION refuse');
    await reach({ 'a-failing': 2, 'b-sound': 2, 'c-failing': 1, 'd-sound': 1 });
    await eventually(async () => (await reasons()).every((reason) => reason === undefined), 'it is well again');
  });

  /** Does what a worker does for the retention. */
  async function forget(engine: Engine, ...partitions: PartitionState[]): Promise<void> {
    await forgetWindows(database.pool, engine.versions.serving, { now, partitions });
    await cleanUp(database.pool);
  }
  const sums = async () => {
    const { rows } = await database.pool.query<{ sum: string }>(
      'SELECT accumulators[1]::text AS sum FROM stream_windows ORDER BY query_id, window_start, key',
    );
    return rows.map(({ sum }) => sum);
  };
  const counters = async () =>
    (await database.pool.query('SELECT matched::int, late::int FROM stream_counters')).rows as unknown[];
  const over = start + hour + 60_000;

  it('is forgotten after its retention, in event time', async () => {
    const engine = await engineOf(onChange('0s'));
    await handle(engine, { id: 1, time: start });
    await emitDue(database.pool, engine.versions);
    await forget(engine, partitionAt(0, over - 1));
    assert.deepEqual(await sums(), ['10']);
    await handle(engine, { id: 2, time: over });
    await forget(engine, partitionAt(0, over));
    await database.pool.query(
      `INSERT INTO feed (kind, items, created_at) VALUES ('order', '{}', now() - interval '2 hours'), ('order', '{}', now())`,
    );
    await cleanUp(database.pool);
    const { rows } = await database.pool.query<{ window_start: Date }>('SELECT window_start FROM stream_windows');
    assert.deepEqual(
      rows.map(({ window_start: at }) => at.getTime() - start),
      [3_660_000],
    );
    const { rows: feed } = await database.pool.query(`SELECT count(*)::int AS n FROM feed WHERE kind = 'order'`);
    assert.deepEqual(feed, [{ n: 1 }]);

    const changed = await engineOf(onChange('1s').replace('1m', '2m'));
    assert.equal(changed.versions.serving.plans[0]!.version, 2);
    await cleanUp(database.pool);
    assert.deepEqual((await database.pool.query('SELECT * FROM stream_windows')).rows, []);
  });

  it('is kept for a partition that is slower, or of which nothing is known', async () => {
    const engine = await engineOf(revenue);
    await handle(engine, { id: 1, partition: 0 }, { id: 2, partition: 1 });
    await forget(engine, partitionAt(0, now), partitionAt(1, start, { age: hour, unread: 1n }));
    const unknown = { now, partitions: [partitionAt(0, now)], known: new Set<string>() };
    await forgetWindows(database.pool, engine.versions.serving, unknown);
    await cleanUp(database.pool);
    await handle(engine, { id: 3, partition: 1 });
    assert.deepEqual(await sums(), ['30']);
    assert.deepEqual(await counters(), [{ matched: 3, late: 0 }]);
  });

  it('is kept of past events in a quiet time', async () => {
    const engine = await engineOf(revenue);
    await handle(engine, { id: 1 });
    await forget(engine, partitionAt(0, start, { age: hour }), partitionAt(1, start + 1_000, { age: hour }));
    assert.deepEqual(await sums(), ['10']);
  });

  it('begins no more when it is forgotten: what an idle partition brings for it is late', async () => {
    const engine = await engineOf(revenue);
    await handle(engine, { id: 1 });
    await forget(engine, partitionAt(0, over), partitionAt(1, start, { age: idleAfterMs }));
    assert.deepEqual(await sums(), []);
    await handle(engine, { id: 2, partition: 1 }, { id: 3, partition: 1, time: start + 60_000 });
    assert.deepEqual(await sums(), ['10']);
    assert.deepEqual(await counters(), [{ matched: 2, late: 1 }]);
  });

  it(
    'is not forgotten under a batch that has begun, and others do not wait for one that stands',
    { timeout: 20_000 },
    async () => {
      const engine = await engineOf(revenue);
      await handle(engine, { id: 1 });
      await transaction(database.pool, async (tx) => {
        await lockVersionsShared(tx);
        await forget(engine, partitionAt(0, over));
        assert.deepEqual(await sums(), ['10']);
        await engine.handle(tx, [orderEvent({ id: 2, partition: 1 })]);
      });
      assert.deepEqual(await sums(), ['20']);
      await forget(engine, partitionAt(0, over));
      assert.deepEqual(await sums(), []);
      assert.deepEqual(await counters(), [{ matched: 2, late: 0 }]);
    },
  );

  it('that cannot be forgotten keeps no other rows', async (t) => {
    const { pool } = database;
    const engine = await engineOf(revenue);
    await handle(engine, { id: 1 }, { id: 2, time: over });
    await pool.query(`INSERT INTO feed (kind, items, created_at) VALUES ('order', '{}', now() - interval '2 hours')`);
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE OF forgotten_until ON stream_queries EXECUTE FUNCTION refuse()`);
    t.after(() => pool.query('DROP TRIGGER refuse ON stream_queries; DROP FUNCTION refuse'));
    const { observer, workers } = workersOf(engine);
    await observer.refresh();
    const worker = workers.at(-1)!;
    t.after(() => worker.stop());
    await assert.rejects(forgetWindows(pool, engine.versions.serving, (await observer.observe())!), /refused/);
    worker.start();
    await eventually(async () => (await pool.query('SELECT FROM feed')).rowCount === 0, 'the old item is deleted');
  });

  it('is emitted before it is forgotten, also after days without a worker', async () => {
    const engine = await engineOf(onChange('0s'));
    await handle(engine, { id: 1 });
    await database.pool.query(`UPDATE stream_windows SET due_at = due_at - interval '3 days'`);
    await forget(engine, partitionAt(0, over));
    await cleanUp(database.pool);
    assert.deepEqual(await emitDue(database.pool, engine.versions), { emitted: 1, more: false, failures: [] });
    await forget(engine, partitionAt(0, over));
    assert.deepEqual(await sums(), []);
  });

  it('is dropped where the query no longer emits it, and holds up no other', async () => {
    const first = await engineOf(onChange('1h'));
    await handle(first, { id: 1 });
    const queries = [queryOf('revenue', revenue), queryOf('other', onChange('0s'))];
    const { source, versions } = await declare(database.pool, 'analytics', queries);
    const engine = new Engine({ group: 'analytics', pool: database.pool, source, versions, now: () => now });
    await handle(engine, { id: 2 });
    await dayPasses();
    assert.deepEqual(await emitDue(database.pool, engine.versions), { emitted: 1, more: false, failures: [] });
    assert.deepEqual(
      (await published()).map(({ query }) => query),
      ['other'],
    );
  });

  it('raises no alert of a later version about windows from before the alerts that are kept', async () => {
    const first = await engineOf(onClose);
    await handle(first, { id: 1 });
    const closed = { now: start + 91 * 24 * hour, partitions: [partitionAt(0, start + hour)] };
    assert.equal((await closeDue(database.pool, first.versions.serving, closed)).emitted, 1);
    await database.pool.query('TRUNCATE alerts, stream_recent_ids');
    const changed = await engineOf(onClose.replace('tumbling: 1m', 'tumbling: 2m'));
    await handle(changed, { id: 1 }, { id: 2, time: start + 2 * 24 * hour });
    await database.pool.query('UPDATE stream_queries SET served_at = now()'); // both are of its backfill
    const later = { ...closed, partitions: [partitionAt(0, start + 3 * 24 * hour)] };
    assert.equal((await closeDue(database.pool, changed.versions.serving, later)).emitted, 1);
    await handle(changed, { id: 3, partition: 1, time: start + hour });
    assert.equal((await closeDue(database.pool, changed.versions.serving, later)).emitted, 1);
  });
});
