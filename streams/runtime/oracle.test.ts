import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import type { MetricUpdated } from '#streams/contract';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { cleanUp, closeDue, emitDue, forgetWindows, listWindows, readPositions } from '#streams/store';
import type { Observation, PartitionState } from '#streams/engine';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { oracle, oracleQueriesThat, overAndOpen, windowName } from '#streams/testing/oracle.ts';
import type { OracleQuery } from '#streams/testing/oracle.ts';
import { orderStreams, runs, start } from '#streams/testing/support.ts';
import { Engine } from './engine.ts';

const group = 'analytics';
const topic = 'order-events';
const more = 3; // an alert needs so many orders

const isBrief = true; // windows are forgotten while the events come
const onChange = oracleQueriesThat('', 'emit: { to: revenue-analytics, every: 0s }', { isBrief });
const onClose = oracleQueriesThat('-on-close', 'emit: { to: revenue-analytics, on: close }', { isBrief });
const alerting = oracleQueriesThat(
  '-alerting',
  `having: orders >= ${more} && users > 1
emit: { to: analytics-alerts }
alert: { severity: info, message: '{orders}' }`,
  { isBrief },
);
const all = [...onChange, ...onClose, ...alerting];

/** What happens in a round: each worker takes some events of its partitions; then partitions may change hands. */
const rounds = fc.array(
  fc.record({
    take: fc.integer({ min: 1, max: 25 }),
    /** a transaction that is rolled back at its end, and comes again */
    fails: fc.boolean(),
    /** a worker that does not know yet that it has lost its partitions, and writes the same events at the same time */
    zombie: fc.boolean(),
    /** which worker has each partition from then on */
    owners: fc.option(fc.tuple(fc.nat(1), fc.nat(1), fc.nat(1)), { nil: undefined }),
    /** what the workers do beside the batches meanwhile */
    emits: fc.boolean(),
    closes: fc.boolean(),
    forgets: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
);
type Round = typeof rounds extends fc.Arbitrary<(infer R)[]> ? R : never;

class RolledBack extends Error {}

describe('stream queries on PostgreSQL, by two workers that exchange partitions', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());

  /** Plays the rounds over and over until every event has been taken. */
  async function play(events: readonly ReceivedEvent[], plan: readonly Round[]): Promise<Engine> {
    await forgetQueries(database.pool);
    const queries = all.map(({ query }) => query);
    const { source, versions } = await declare(database.pool, group, queries);
    const workers = [0, 1].map(
      () => new Engine({ group, pool: database.pool, source, versions, now: () => start + 86_400_000 }),
    );
    const partitions = [0, 1, 2].map((partition) => events.filter((event) => event.partition === partition));
    const ends = partitions.map(({ length }) => length);
    const next = [0, 0, 0];
    let owners: number[] = [0, 0, 1];

    /** One transaction of a worker over some partitions, with its offsets. @returns whether it was committed */
    async function take(worker: number, own: readonly number[], round: Round, fails: boolean): Promise<boolean> {
      const from = own.map((partition) => next[partition]!);
      const slices = own.map((partition, i) => partitions[partition]!.slice(from[i], from[i]! + round.take));
      try {
        await transaction(database.pool, async (tx) => {
          for (const [i, partition] of own.entries()) {
            const { rowCount } = await tx.query(
              `INSERT INTO millrace.inbox_offsets AS o (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
               ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = $4 WHERE o.next_offset = $5`,
              [group, topic, partition, from[i]! + slices[i]!.length, from[i]],
            );
            if (rowCount !== 1) throw new RolledBack('another worker has them');
          }
          await workers[worker]!.handle(tx, slices.flat());
          if (fails) throw new RolledBack('the connection is gone');
        });
      } catch (error) {
        if (!(error instanceof RolledBack)) throw error;
        return false;
      }
      return true;
    }

    async function playRound(round: Round): Promise<void> {
      const shares = [0, 1].map((worker) => [0, 1, 2].filter((p) => owners[p] === worker && next[p]! < ends[p]!));
      const attempts = shares.map(async (own, worker) => {
        if (own.length === 0) return;
        if (round.fails) await take(worker, own, round, true);
        const outcomes = await Promise.all([
          take(worker, own, round, false),
          ...(round.zombie ? [take(1 - worker, own, round, false)] : []),
        ]);
        assert.equal(outcomes.filter(Boolean).length, 1);
        for (const p of own) next[p] = Math.min(ends[p]!, next[p]! + round.take);
      });
      await Promise.all([
        ...attempts,
        ...(round.emits ? [emitDue(database.pool, versions)] : []),
        ...(round.closes ? [closeAll(workers[0]!, ends)] : []),
        ...(round.forgets ? [forgetAll(workers[1]!, ends)] : []),
      ]);
      owners = round.owners ?? owners;
    }

    for (let i = 0; next.some((offset, p) => offset < ends[p]!); i++) await playRound(plan[i % plan.length]!);
    await closeAll(workers[0]!, ends);
    while ((await emitDue(database.pool, versions)).more);
    await forgetAll(workers[0]!, ends);
    return workers[0]!;
  }

  /** The positions that are committed: no partition is idle. */
  async function observe(ends: readonly number[]): Promise<Observation> {
    const { now, partitions } = await readPositions(database.pool, group);
    const states = ends.flatMap((end, partition): PartitionState[] => {
      const own = partitions.find((position) => position.partition === partition);
      const known = { nextOffset: own?.nextOffset, watermarks: own?.watermarks ?? new Map() };
      return end === 0 ? [] : [{ topic, partition, offsets: { low: 0n, high: BigInt(end) }, ...known }];
    });
    return { now, partitions: states };
  }

  async function closeAll(engine: Engine, ends: readonly number[]): Promise<void> {
    const observation = await observe(ends);
    while ((await closeDue(database.pool, engine.versions.serving, observation)).more);
  }

  async function forgetAll(engine: Engine, ends: readonly number[]): Promise<void> {
    await forgetWindows(database.pool, engine.versions.serving, await observe(ends));
    while (await cleanUp(database.pool));
  }

  async function keptWindows(engine: Engine, { query }: OracleQuery) {
    const windows = await listWindows(
      database.pool,
      engine.versions.serving.named(query.name)!,
      { limit: 100_000 },
      undefined,
    );
    return new Map(
      windows.map(({ key, windowStart, windowEnd, values }) => [
        windowName(key, Date.parse(windowStart), Date.parse(windowEnd)),
        values,
      ]),
    );
  }

  /** The view of a reader that keeps the last event of each window and deletes replaced windows. */
  async function readersView({ query }: OracleQuery) {
    const events = (await readOutbox(database.pool))
      .filter(({ key }) => key.startsWith(`${query.name}/`))
      .map(({ data }) => data as MetricUpdated);
    const view = new Map<string, MetricUpdated>();
    for (const data of events) {
      for (const old of data.replaces ?? []) view.delete(`${data.key}@${old}`);
      view.set(`${data.key}@${data.windowStart}`, data);
    }
    const windows = [...view.values()].map(
      ({ key, windowStart, windowEnd, values }) =>
        [windowName(key, Date.parse(windowStart!), Date.parse(windowEnd!)), values] as const,
    );
    return { windows: new Map(windows), events: events.length };
  }

  it('equal the oracle: what is kept, what readers of the topics know, what closes and what alerts', async () => {
    await fc.assert(
      fc.asyncProperty(orderStreams, rounds, async (events, plan) => {
        const engine = await play(events, plan);
        for (const query of all) {
          const { name } = query.query;
          const expected = oracle(query, events);
          assert.deepEqual(await keptWindows(engine, query), overAndOpen(query, events).open, name);
          const { rows } = await database.pool.query<{ matched: number; late: number }>(
            'SELECT matched::int, late::int FROM stream_counters WHERE query_id = $1',
            [engine.versions.serving.named(name)!.id],
          );
          const { matched = 0, late = 0 } = rows[0] ?? {};
          assert.deepEqual({ matched, late }, { matched: expected.matched, late: expected.late }, name);
        }
        for (const query of onChange) {
          const { windows } = await readersView(query);
          assert.deepEqual(windows, oracle(query, events).windows, `${query.query.name}: readers`);
        }
        for (const query of onClose) {
          const { over } = overAndOpen(query, events);
          const closed = await readersView(query);
          assert.deepEqual(closed.windows, over, `${query.query.name}: closed`);
          assert.equal(closed.events, over.size, `${query.query.name}: closed once`);
        }
        for (const query of alerting) await checkAlerts(query, events);
      }),
      { numRuns: runs(12, 1_500) },
    );
  });

  /** Each window that comes to the threshold has an alert, and only one; a session may have one of each part of it. */
  async function checkAlerts(query: OracleQuery, events: readonly ReceivedEvent[]): Promise<void> {
    const { name } = query.query;
    const passing = [...oracle(query, events).windows].filter(
      ([, { orders, users }]) => Number(orders) >= more && Number(users) > 1,
    );
    const { rows } = await database.pool.query<{ key: string; window_start: Date }>(
      'SELECT key, window_start FROM alerts WHERE type = $1',
      [name],
    );
    const windowOf = rows.map(({ key, window_start: at }) =>
      passing.find(([own]) => {
        const [, of, from, to] = /^(.*)@(\d+)-(\d+)$/.exec(own)!;
        const isPart = 'gap' in query.window && at.getTime() > Number(from) && at.getTime() < Number(to);
        return of === key && (at.getTime() === Number(from) || isPart);
      }),
    );
    assert.ok(!windowOf.includes(undefined), `${name}: an alert of nothing`);
    assert.equal(new Set(windowOf).size, passing.length, `${name}: alerted windows`);
    if (!('gap' in query.window)) assert.equal(windowOf.length, passing.length, `${name}: alerts`);
  }
});
