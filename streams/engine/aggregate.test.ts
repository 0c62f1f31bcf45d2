import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { oracle, oracleQueries, windowName } from '#streams/testing/oracle.ts';
import { cut, orderEvent, orderStreams, queryOf, runs, start } from '#streams/testing/support.ts';
import { Aggregation } from './aggregate.ts';
import { PartitionWatermarks } from './watermarks.ts';
import { MemoryEngine } from './memory.ts';
import { PlanSet, planOf } from './plan.ts';

const plans = new PlanSet(oracleQueries.map(({ query }, i) => planOf(query, i + 1, 1)));

const farFuture = Number.MAX_SAFE_INTEGER;

function windowsOf(engine: MemoryEngine, name: string): Map<string, Record<string, number | string>> {
  const rows = engine.rows(engine.plans.named(name)!);
  return new Map(
    rows.map(({ key, windowStart, windowEnd, values }) => [windowName(key, windowStart!, windowEnd!), values]),
  );
}

describe('aggregating a stream', () => {
  it('equals the oracle, window for window, however the stream is cut into batches', () => {
    fc.assert(
      fc.property(orderStreams, fc.array(fc.integer({ min: 1, max: 40 })), (events, sizes) => {
        const engine = new MemoryEngine(plans);
        for (const batch of cut(events, sizes)) engine.handle(batch, farFuture);
        for (const query of oracleQueries) {
          const { name } = query.query;
          const expected = oracle(query, events);
          assert.deepEqual(windowsOf(engine, name), expected.windows, name);
          const { late = 0, matched = 0 } = engine.tallies.get(plans.named(name)!) ?? {};
          assert.deepEqual({ late, matched }, { late: expected.late, matched: expected.matched }, name);
        }
      }),
      { numRuns: runs(300, 20_000) },
    );
  });

  it('does not depend on how the partitions are interleaved', () => {
    fc.assert(
      fc.property(orderStreams, (events) => {
        const [mixed, apart] = [new MemoryEngine(plans), new MemoryEngine(plans)];
        mixed.handle(events, farFuture);
        for (const partition of [2, 0, 1]) {
          const own = events.filter((event) => event.partition === partition);
          apart.handle(own, farFuture);
        }
        for (const { query } of oracleQueries) {
          assert.deepEqual(windowsOf(apart, query.name), windowsOf(mixed, query.name));
        }
      }),
      { numRuns: runs(100, 10_000) },
    );
  });
});

/** Aggregates a stream from its start for one query. */
function run(spec: string, events: ReceivedEvent[], now = start + 3_600_000) {
  const plan = planOf(queryOf('one', spec), 1, 1);
  const effects = new Aggregation();
  const watermarks = effects.aggregate(new PlanSet([plan]), events, new PartitionWatermarks('order-events', 0), now);
  return { effects, watermarks, tally: effects.tallies.get(plan), windows: effects.windows.get(plan) };
}

describe('an event', () => {
  const source = 'from: [{ topic: order-events }]';
  it('without a result for a query is counted there and does no harm', () => {
    const spec = `${source}\nkeyBy: data.userId\nwindow: { tumbling: 1m }\nselect: [{ name: n, count: true }]`;
    const { tally, windows } = run(spec, [orderEvent({ id: 1 })]);
    assert.equal(windows, undefined);
    assert.deepEqual([tally?.failed, tally?.failure], [1, 'order-1-1: keyBy is no text']);
    const missing = run(`${source}\nwindow: { tumbling: 1m }\nselect: [{ name: n, sum: data.nothing }]`, [
      orderEvent({ id: 1 }),
    ]);
    assert.deepEqual([missing.tally?.failed, missing.tally?.matched], [1, 0]);
  });

  it('of the future does not make everybody else late', () => {
    const future = orderEvent({ id: 1, time: start + 10 * 86_400_000 });
    const spec = `${source}\nwindow: { tumbling: 1m, grace: 5m }\nselect: [{ name: n, count: true }]`;
    const { tally } = run(spec, [future, orderEvent({ id: 2, time: start })], start);
    assert.deepEqual([tally?.matched, tally?.late], [2, 0]);
  });

  it('of no usual time is not used', () => {
    const spec = `${source}\nwindow: { tumbling: 1m }\nselect: [{ name: n, count: true }]`;
    const { tally, watermarks } = run(spec, [orderEvent({ id: 1, time: -1, createdAt: start })]);
    assert.equal(tally?.failed, 1);
    assert.deepEqual(watermarks.entries(), []);
  });

  it('runs by the clock that the query names', () => {
    const spec = `${source}\ntimestamp: timestamp(data.createdAt)\nwindow: { tumbling: 1d, grace: 1d }\nselect: [{ name: n, count: true }]`;
    const { windows, watermarks } = run(
      spec,
      [orderEvent({ id: 1, time: start + 86_400_000, createdAt: start })],
      start + 2 * 86_400_000,
    );
    assert.deepEqual([...windows!.keys()], [start]);
    assert.deepEqual(
      watermarks.entries().map(({ clock, watermark }) => [clock, watermark]),
      [
        ['', start + 86_400_000],
        ['timestamp(data.createdAt) of order-events', start],
      ],
    );
  });

  it('stands for itself in a query without a window', () => {
    const spec = `${source}\nwhere: data.totalAmount > 5.0\nselect: [{ name: total, value: data.totalAmount }, { name: status, value: data.status }]\nemit: { to: t }`;
    const { effects } = run(spec, [orderEvent({ id: 1 }), orderEvent({ id: 2, total: 5 })]);
    assert.deepEqual(
      effects.occurrences.map(({ key, event, values }) => [key, event.id, values]),
      [['all', 'order-1-1', { total: 10, status: 'PENDING' }]],
    );
  });
});
