import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import { cut, oracle, oracleQueries, orderEvent, orderStreams, queryOf, start } from '../test-support.ts';
import { aggregate } from './aggregate.ts';
import { PartitionClocks } from './clocks.ts';
import { addDecimals, formatDecimal, parseDecimal } from './decimal.ts';
import { PlanSet, planOf } from './plan.ts';
import type { Plan } from './plan.ts';
import { rowOf } from './rows.ts';

/** The queries with the state that the database would keep. */
class Memory {
  readonly plans: PlanSet;
  readonly #clocks = new Map<string, PartitionClocks>();
  readonly #windows = new Map<string, { plan: Plan; start: number; key: string; accumulators: string[] }>();
  readonly late = new Map<string, number>();
  readonly matched = new Map<string, number>();

  constructor(plans: PlanSet) {
    this.plans = plans;
  }

  handle(events: readonly ReceivedEvent[]): void {
    const clocksOf = (topic: string, partition: number) =>
      this.#clocks.get(`${topic}/${partition}`) ?? new PartitionClocks(topic, partition);
    const effects = aggregate(this.plans, events, clocksOf, Number.MAX_SAFE_INTEGER);
    for (const clocks of effects.clocks) this.#clocks.set(`${clocks.topic}/${clocks.partition}`, clocks);
    for (const [plan, tally] of effects.tallies) {
      this.late.set(plan.query.name, (this.late.get(plan.query.name) ?? 0) + tally.late);
      this.matched.set(plan.query.name, (this.matched.get(plan.query.name) ?? 0) + tally.matched);
    }
    for (const [plan, deltas] of effects.windows) {
      for (const [windowStart, keys] of deltas) {
        for (const [key, delta] of keys) {
          const name = `${plan.query.name} ${key}@${windowStart}`;
          const before = this.#windows.get(name)?.accumulators;
          const accumulators = plan.layout.accumulators.map(({ combine }, i) => {
            const value = delta.value(i);
            return before ? combined(combine, before[i]!, value) : value;
          });
          this.#windows.set(name, { plan, start: windowStart, key, accumulators });
        }
      }
    }
  }

  windows(query: string): Map<string, Record<string, number | string>> {
    const own = [...this.#windows.values()].filter(({ plan }) => plan.query.name === query);
    return new Map(
      own.map(({ plan, start: at, key, accumulators }) => [`${key}@${at}`, rowOf(plan, at, key, accumulators).values]),
    );
  }
}

function combined(combine: string, a: string, b: string): string {
  const [left, right] = [parseDecimal(a), parseDecimal(b)];
  if (combine === 'add') return formatDecimal(addDecimals(left, right));
  const isLess = Number(a) < Number(b);
  return isLess === (combine === 'least') ? a : b;
}

const plans = new PlanSet(oracleQueries.map(({ query }, i) => planOf(query, i + 1, 1)));

describe('aggregating a stream', () => {
  it('equals the oracle, window for window, however the stream is cut into batches', () => {
    fc.assert(
      fc.property(orderStreams, fc.array(fc.integer({ min: 1, max: 40 })), (events, sizes) => {
        const memory = new Memory(plans);
        for (const batch of cut(events, sizes)) memory.handle(batch);
        for (const query of oracleQueries) {
          const { name } = query.query;
          const expected = oracle(query, events);
          assert.deepEqual(memory.windows(name), expected.windows, name);
          assert.equal(memory.late.get(name) ?? 0, expected.late, `${name}: late`);
          assert.equal(memory.matched.get(name) ?? 0, expected.matched, `${name}: matched`);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('does not depend on how the partitions are interleaved', () => {
    fc.assert(
      fc.property(orderStreams, (events) => {
        const [mixed, apart] = [new Memory(plans), new Memory(plans)];
        mixed.handle(events);
        for (const partition of [2, 0, 1]) apart.handle(events.filter((event) => event.partition === partition));
        for (const { query } of oracleQueries) assert.deepEqual(apart.windows(query.name), mixed.windows(query.name));
      }),
    );
  });
});

/** What a stream from its start means to a single query. */
function run(spec: string, events: ReceivedEvent[], now = start + 3_600_000) {
  const plan = planOf(queryOf('one', spec), 1, 1);
  const effects = aggregate(new PlanSet([plan]), events, (...place) => new PartitionClocks(...place), now);
  return { effects, tally: effects.tallies.get(plan), windows: effects.windows.get(plan) };
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
    const { tally, effects } = run(spec, [orderEvent({ id: 1, time: -1, createdAt: start })]);
    assert.equal(tally?.failed, 1);
    assert.deepEqual(effects.clocks[0]?.progress(), []);
  });

  it('runs by the clock that the query names', () => {
    const spec = `${source}\ntimestamp: timestamp(data.createdAt)\nwindow: { tumbling: 1d, grace: 1d }\nselect: [{ name: n, count: true }]`;
    const { windows, effects } = run(
      spec,
      [orderEvent({ id: 1, time: start + 86_400_000, createdAt: start })],
      start + 2 * 86_400_000,
    );
    assert.deepEqual([...windows!.keys()], [start]);
    assert.deepEqual(
      effects.clocks[0]?.progress().map(({ clock, watermark }) => [clock, watermark]),
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
