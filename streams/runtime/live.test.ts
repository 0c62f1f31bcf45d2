import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import type { MetricUpdated } from '#streams/contract';
import type { Accumulator } from '#platform/inbox';
import { OffsetsMoved, Outdated, loadOffsets, moveOffsets } from '#platform/inbox/offsets.ts';
import type { Move } from '#platform/inbox/offsets.ts';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import {
  cleanUp,
  closeDue,
  emitDue,
  forgetWindows,
  listWindows,
  readPositions,
  serveCaughtUp,
  VersionSource,
} from '#streams/store';
import type { Observation, PartitionState, Versions } from '#streams/engine';
import { backfillGroup } from '#platform/declarations';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { oracle, oracleQueryOf, overAndOpen, windowName } from '#streams/testing/oracle.ts';
import type { OracleQuery } from '#streams/testing/oracle.ts';
import { orderStreams, runs, start } from '#streams/testing/support.ts';
import { BackfillAccumulator, promoteIdle } from './backfill.ts';
import { Engine } from './engine.ts';

const group = 'analytics';
const topic = 'order-events';
const partitions = [0, 1, 2];
const more = 3; // an alert needs so many orders

const emissions = {
  changing: 'emit: { to: revenue-analytics, every: 0s }',
  closing: 'emit: { to: revenue-analytics, on: close }',
  alerting: `having: orders >= ${more}
emit: { to: analytics-alerts }
alert: { severity: info, message: '{orders}' }`,
};
type Name = keyof typeof emissions;
const names = Object.keys(emissions) as Name[];

/** The kind of a query, if there is one: the last, which has a clock of its own, more often. */
const kind = fc.option(fc.constantFrom(0, 1, 2, 3, 4, 5, 5, 5), { freq: 7, nil: undefined });
/** The kind of query in the file of each name. */
const declarations = fc.record({ changing: kind, closing: kind, alerting: kind });
type Declared = { [name in Name]: number | undefined };

/** What happens at the same time in a round. */
const rounds = fc.array(
  fc.record({
    /** how many events each worker takes of each of its partitions: the service's own group, and the backfill */
    own: fc.nat(15),
    backfill: fc.nat(15),
    /** transactions that are rolled back at their end, and come again */
    fails: fc.boolean(),
    /** the partitions that the second worker has; the first has the others */
    second: fc.subarray(partitions),
    changes: fc.option(fc.record({ name: fc.constantFrom(...names), kind }), { freq: 1, nil: undefined }),
    serves: fc.boolean(),
    emits: fc.boolean(),
    closes: fc.boolean(),
    forgets: fc.boolean(),
  }),
  { minLength: 1, maxLength: 16 },
);
type Round = typeof rounds extends fc.Arbitrary<(infer R)[]> ? R : never;

class RolledBack extends Error {}

describe('stream queries that change while two workers run', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());

  const queriesOf = (declared: Declared): OracleQuery[] =>
    names.flatMap((name) => {
      const own = declared[name];
      return own === undefined ? [] : [oracleQueryOf(name, own, emissions[name], { isBrief: true })];
    });

  async function play(events: readonly ReceivedEvent[], first: Declared, plan: readonly Round[]) {
    const { pool } = database;
    await forgetQueries(pool);
    const logs = partitions.map((partition) => events.filter((event) => event.partition === partition));
    let declared = first;
    const put = (what: Declared) =>
      declare(
        pool,
        group,
        queriesOf(what).map(({ query }) => query),
      );
    const { versions: initial } = await put(first);
    const now = () => start + 86_400_000;
    const source = () => new VersionSource(group);
    const worker = () => {
      const own = source();
      const engine = new Engine({ group: backfillGroup(group), pool, source: own, versions: initial, now });
      return {
        [group]: new Engine({ group, pool, source: source(), versions: initial, now }) as Accumulator,
        [backfillGroup(group)]: new BackfillAccumulator(engine, own) as Accumulator,
      };
    };
    const workers = [worker(), worker()];
    const starts = partitions.map((partition) => ({ topic, partition, offset: 0n }));

    /** One transaction of a worker over some partitions, as an inbox makes it. */
    async function take(accumulator: Accumulator, of: string, own: readonly number[], count: number, fails: boolean) {
      const offsets = await loadOffsets(pool, of, starts);
      const accumulation = accumulator.begin();
      const moves: Move[] = [];
      for (const partition of own) {
        const expected = offsets.get(`${topic}/${partition}`)!.offset;
        const part = logs[partition]!.slice(Number(expected), Number(expected) + count);
        if (part.length === 0) continue;
        const next = expected + BigInt(part.length);
        await accumulator.prepare({ topic, partition, offset: expected });
        accumulation.add({ topic, partition, events: part, next });
        moves.push({ topic, partition, expected, next });
      }
      if (moves.length === 0) return;
      try {
        await transaction(pool, async (tx) => {
          const moved = await moveOffsets(tx, of, moves);
          if (moved.length > 0) throw new OffsetsMoved(moved);
          await accumulation.write(tx);
          if (fails) throw new RolledBack('the connection is gone');
        });
      } catch (error) {
        if (!(error instanceof Outdated || error instanceof RolledBack)) throw error;
        accumulator.reset();
      }
    }

    const current = (): Promise<Versions> => source().load(pool);

    async function observe(): Promise<Observation> {
      const { now: time, partitions: known } = await readPositions(pool, group);
      const states = logs.flatMap((log, partition): PartitionState[] => {
        const own = known.find((position) => position.partition === partition);
        const position = { nextOffset: own?.nextOffset, watermarks: own?.watermarks ?? new Map() };
        return log.length === 0
          ? []
          : [{ topic, partition, offsets: { low: 0n, high: BigInt(log.length) }, ...position }];
      });
      return { now: time, partitions: states };
    }

    async function closeAll(): Promise<void> {
      const { serving } = await current();
      const observation = await observe();
      while ((await closeDue(pool, serving, observation)).more);
    }

    async function forgetAll(): Promise<void> {
      await forgetWindows(pool, (await current()).serving, await observe());
      while (await cleanUp(pool));
    }

    async function playRound(round: Round): Promise<void> {
      const shares = [partitions.filter((partition) => !round.second.includes(partition)), round.second];
      const takes = shares.flatMap((own, i) => [
        take(workers[i]![group]!, group, own, round.own, round.fails),
        take(workers[1 - i]![backfillGroup(group)]!, backfillGroup(group), own, round.backfill, round.fails),
      ]);
      const { changes } = round;
      if (changes) declared = { ...declared, [changes.name]: changes.kind };
      await Promise.all([
        ...takes,
        ...(changes ? [put(declared)] : []),
        ...(round.serves ? [serveCaughtUp(pool, group)] : []),
        ...(round.emits ? [current().then((versions) => emitDue(pool, versions))] : []),
        ...(round.closes ? [closeAll()] : []),
        ...(round.forgets ? [forgetAll()] : []),
      ]);
    }

    for (const round of plan) await playRound(round);
    const rest = {
      own: 50,
      backfill: 50,
      fails: false,
      second: [2],
      serves: true,
      emits: true,
      closes: true,
      forgets: true,
    };
    const isDone = async () => {
      const offsets = await loadOffsets(pool, group, starts);
      const { backlog, building } = await current();
      const isRead = partitions.every((p) => Number(offsets.get(`${topic}/${p}`)!.offset) === logs[p]!.length);
      return isRead && backlog.length === 0 && building.length === 0;
    };
    while (!(await isDone())) {
      await playRound({ ...rest, changes: undefined });
      await promoteIdle(pool, source(), group);
    }
    await closeAll();
    while ((await emitDue(pool, await current())).more || (await current()).unreleased.plans.length > 0);
    await forgetAll();
    return { declared, versions: await current() };
  }

  async function keptWindows(versions: Versions, { query }: OracleQuery) {
    const windows = await listWindows(
      database.pool,
      versions.serving.named(query.name)!,
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

  /** The view of a reader that keeps the last event of a version for each window. */
  async function readersView({ query }: OracleQuery, version: number) {
    const view = new Map<string, MetricUpdated>();
    for (const { key, data } of await readOutbox(database.pool)) {
      const metric = data as MetricUpdated;
      if (!key.startsWith(`${query.name}/`) || metric.version !== version) continue;
      for (const old of metric.replaces ?? []) view.delete(`${metric.key}@${old}`);
      view.set(`${metric.key}@${metric.windowStart}`, metric);
    }
    return new Map(
      [...view.values()].map(({ key, windowStart, windowEnd, values }) => [
        windowName(key, Date.parse(windowStart!), Date.parse(windowEnd!)),
        values,
      ]),
    );
  }

  it('equal the oracle of what is declared in the end, as if it had been so from the first event', async () => {
    await fc.assert(
      fc.asyncProperty(orderStreams, declarations, rounds, async (events, first, plan) => {
        const { declared, versions } = await play(events, first, plan);
        const queries = queriesOf(declared);
        assert.deepEqual(
          versions.serving.plans.map(({ query }) => query.name).toSorted(),
          queries.map(({ query }) => query.name).toSorted(),
        );
        for (const query of queries) {
          const { name } = query.query;
          const { id, version } = versions.serving.named(name)!;
          const expected = oracle(query, events);
          const { over, open } = overAndOpen(query, events);
          assert.deepEqual(await keptWindows(versions, query), open, name);
          const { rows } = await database.pool.query<{ matched: number; late: number }>(
            'SELECT matched::int, late::int FROM stream_counters WHERE query_id = $1',
            [id],
          );
          const { matched = 0, late = 0 } = rows[0] ?? {};
          assert.deepEqual({ matched, late }, { matched: expected.matched, late: expected.late }, name);
          if (name === 'changing') assert.deepEqual(await readersView(query, version), expected.windows, 'readers');
          if (name === 'closing') assert.deepEqual(await readersView(query, version), over, 'closed');
        }
        await checkAlerts(queries, events);
      }),
      { numRuns: runs(15, 1_000) },
    );
  });

  /** Each window that comes to the threshold has been alerted about, and no key and start twice in whichever version. */
  async function checkAlerts(queries: readonly OracleQuery[], events: readonly ReceivedEvent[]): Promise<void> {
    const { rows } = await database.pool.query<{ key: string; occurrence: string }>(
      'SELECT key, occurrence FROM alerts',
    );
    const raised = rows.map(({ key, occurrence }) => `${key}@${Date.parse(occurrence)}`);
    assert.equal(new Set(raised).size, raised.length);
    const query = queries.find(({ query: { name } }) => name === 'alerting');
    if (!query) return;
    for (const [name, { orders }] of oracle(query, events).windows) {
      if (Number(orders) < more) continue;
      const [, key, from, to] = /^(.*)@(\d+)-(\d+)$/.exec(name)!;
      const isRaised = raised.some((alert) => {
        const [of, at] = alert.split('@');
        const isPart = 'gap' in query.window && Number(at) > Number(from) && Number(at) < Number(to);
        return of === key && (at === from || isPart);
      });
      assert.ok(isRaised, `no alert of ${name}`);
    }
  }
});
