import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import type { Accumulator } from '#platform/inbox';
import { Outdated, moveOffsets } from '#platform/inbox';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { cleanUp, emitDue, forgetPassedStarts, listWindows, serveCaughtUp, VersionSource } from '#streams/store';
import { backfillGroup } from '#platform/declarations';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { orderEvent, queryOf, start, orderFeed } from '#streams/testing/support.ts';
import { BackfillAccumulator, promoteIdle } from './backfill.ts';
import { Engine } from './engine.ts';
import { StreamObserver } from './observer.ts';
import { StatusBoard } from './status.ts';

const group = 'analytics';
const backfill = backfillGroup(group);
const topic = 'order-events';
const partition0 = { topic, partition: 0 };
const now = () => start + 86_400_000;

const byUser = (where: string) => `from: [{ topic: ${topic} }]
where: ${where}
keyBy: string(data.userId)
window: { tumbling: 1m, grace: 1d }
select: [{ name: orders, count: true }]
emit: { to: analytics-events, every: 0s }
`;
const high = (threshold: number, message: string) => `from: [{ topic: ${topic} }]
where: data.totalAmount > ${threshold}.0
keyBy: string(data.orderId)
select: [{ name: total, value: data.totalAmount }]
emit: { to: analytics-alerts }
alert: { severity: info, message: '${message}' }
`;

describe('a version that is being built', () => {
  let database: TestDatabase;
  let log: ReceivedEvent[];

  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(async () => {
    log = Array.from({ length: 10 }, (_, id) => orderEvent({ id, userId: id % 2, total: id }));
    await forgetQueries(database.pool);
  });

  const put = (specs: Record<string, string>, low = 0n, topicId?: string) =>
    declare(
      database.pool,
      group,
      Object.entries(specs).map(([name, spec]) => queryOf(name, spec)),
      () => Promise.resolve({ topicId, watermarks: new Map([[0, { low, high: BigInt(log.length) }]]) }),
    );
  const current = () => new VersionSource(group).load(database.pool);

  async function rows(sql: string): Promise<unknown[]> {
    return (await database.pool.query<Record<string, unknown>>(sql)).rows;
  }

  const offsetOf = async (of: string) => {
    const { rows: found } = await database.pool.query<{ next: number }>(
      'SELECT next_offset::int AS next FROM millrace.inbox_offsets WHERE consumer_group = $1',
      [of],
    );
    return found[0]?.next ?? 0;
  };

  /** Takes events as an inbox does, in one transaction. @returns what is to be done before they are committed */
  async function take(of: string, until: number, accumulator?: Accumulator): Promise<void> {
    const source = new VersionSource(group);
    const engine = () =>
      current().then(
        (versions) => new Engine({ group: of, pool: database.pool, source, versions, feed: orderFeed, now }),
      );
    const own = accumulator ?? (of === group ? await engine() : new BackfillAccumulator(await engine(), source));
    const from = await offsetOf(of);
    if (from === 0)
      await database.pool.query('INSERT INTO millrace.inbox_offsets VALUES ($1, $2, 0, 0) ON CONFLICT DO NOTHING', [
        of,
        topic,
      ]);
    await own.prepare({ ...partition0, offset: BigInt(from) });
    const accumulation = own.begin();
    accumulation.add({ ...partition0, events: log.slice(from, until), next: BigInt(until) });
    await transaction(database.pool, async (tx) => {
      await moveOffsets(tx, of, [{ ...partition0, expected: BigInt(from), next: BigInt(until) }]);
      await accumulation.write(tx);
    });
  }

  const published = async () => {
    const events = await readOutbox(database.pool);
    const said = events.map(({ data }) => {
      const { version, key, values } = data as { version: number; key: string; values: { orders: number } };
      return `version ${version}: ${values.orders} of ${key}`;
    });
    return said.toSorted();
  };
  const windowsOf = async () => {
    const windows = await listWindows(
      database.pool,
      (await current()).serving.named('orders')!,
      { limit: 10 },
      undefined,
    );
    return windows.map(({ key, values }) => [key, values['orders']]);
  };

  it('emits nothing, is asked for nothing and forgets nothing until it has caught up; then it takes the place', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await emitDue(database.pool, await current());
    await put({ orders: byUser('data.orderId >= 4') });
    await take(backfill, 6);
    await emitDue(database.pool, await current());
    const all = [
      ['0', 5],
      ['1', 5],
    ];
    assert.deepEqual(await windowsOf(), all);
    const held = ['version 1: 5 of 0', 'version 1: 5 of 1'];
    assert.deepEqual(await published(), held);
    assert.equal(await serveCaughtUp(database.pool, group), false);
    await cleanUp(database.pool);
    await take(backfill, 10); // to where the group is: handed over
    assert.equal(await serveCaughtUp(database.pool, group), true);
    await emitDue(database.pool, await current());
    const some = [
      ['0', 3],
      ['1', 3],
    ];
    assert.deepEqual(await windowsOf(), some);
    const since = ['version 2: 3 of 0', 'version 2: 3 of 1'];
    assert.deepEqual(await published(), [...held, ...since]);
    assert.deepEqual((await current()).unreleased.plans, []);
    log.push(orderEvent({ id: 10, userId: 0 }));
    await take(group, 11);
    await emitDue(database.pool, await current());
    assert.deepEqual(await published(), [...held, ...since, 'version 2: 4 of 0']);
    await cleanUp(database.pool);
    assert.deepEqual(await rows('SELECT DISTINCT query_id FROM stream_windows'), [{ query_id: 2 }]);
  });

  it('takes over from the backfill where that has overtaken the group, without an event twice', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 4);
    await put({ orders: byUser('data.orderId >= 1') });
    await take(backfill, 8);
    assert.deepEqual(await rows('SELECT consumer_group, from_offset::int FROM stream_members'), [
      { consumer_group: group, from_offset: 8 },
    ]);
    await serveCaughtUp(database.pool, group);
    await take(group, 6);
    await take(group, 10);
    assert.deepEqual(await windowsOf(), [
      ['0', 4],
      ['1', 5],
    ]);
  });

  it('begins with the first event that Kafka still has', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await put({ orders: byUser('data.orderId >= 0') }, 3n);
    assert.equal(await offsetOf(backfill), 3);
    await put({ orders: byUser('data.orderId > 0') }, 10n);
    assert.deepEqual((await current()).building, [], 'nothing is left to be read again');
  });

  const recreated = 'the topic that was created again';
  /** As if the topic were deleted and created again, and somebody decided that the group reads it from its start. */
  const recreate = async () => {
    log = Array.from({ length: 10 }, (_, i) => orderEvent({ id: 100 + i, userId: i % 2, offset: i }));
    await database.pool.query(
      `UPDATE millrace.inbox_offsets SET next_offset = 0, topic_id = '${recreated}' WHERE consumer_group = '${group}'`,
    );
  };
  const knowTopic = () => database.pool.query(`UPDATE millrace.inbox_offsets SET topic_id = 'the earlier topic'`);
  const places = () =>
    rows(`SELECT consumer_group AS of, next_offset::int AS next, topic_id AS topic FROM millrace.inbox_offsets
      ORDER BY consumer_group`);

  it('is read again from a topic that was created again since another version was read', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await knowTopic();
    await put({ orders: byUser('data.orderId >= 1') }, 0n, 'the earlier topic');
    await take(backfill, 10);
    await serveCaughtUp(database.pool, group);
    await forgetPassedStarts(database.pool, group);
    await recreate();
    await take(group, 4);
    await put({ orders: byUser('data.orderId >= 2') }, 0n, recreated);
    assert.deepEqual(await places(), [
      { of: group, next: 4, topic: recreated },
      { of: backfill, next: 0, topic: recreated },
    ]);
    await take(backfill, 4);
    assert.equal(await serveCaughtUp(database.pool, group), true);
    assert.deepEqual(await windowsOf(), [
      ['0', 2],
      ['1', 2],
    ]);
  });

  it('begins in the present topic with the versions that were being built from the earlier one', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await knowTopic();
    await put({ orders: byUser('data.orderId >= 1') }, 0n, 'the earlier topic');
    await take(backfill, 6);
    await recreate();
    await take(group, 4);
    assert.equal(await promoteIdle(database.pool, new VersionSource(group), group), false, '6 is of the earlier one');
    await put({ orders: byUser('data.orderId >= 1'), added: byUser('data.orderId >= 0') }, 0n, recreated);
    assert.deepEqual(await rows('SELECT consumer_group, from_offset::int FROM stream_members'), [
      { consumer_group: backfill, from_offset: 0 },
      { consumer_group: backfill, from_offset: 0 },
    ]);
    await take(backfill, 4);
    assert.equal(await serveCaughtUp(database.pool, group), true);
  });

  it('takes all events of a topic that is created again after the version was built', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 8);
    await put({ orders: byUser('data.orderId >= 4') });
    await take(backfill, 10);
    await serveCaughtUp(database.pool, group);
    await forgetPassedStarts(database.pool, group);
    assert.equal((await current()).hasStarts, true, 'the group has not passed it yet');
    await take(group, 10);
    await forgetPassedStarts(database.pool, group);
    assert.equal((await current()).hasStarts, false);
    await recreate();
    await take(group, 10);
    assert.deepEqual(await windowsOf(), [
      ['0', 8],
      ['1', 8],
    ]);
  });

  it('makes those who know nothing of it yet read their events again', async () => {
    await put({ orders: byUser('true == true') });
    const source = new VersionSource(group);
    const engine = new Engine({ group, pool: database.pool, source, versions: await current(), now });
    await take(group, 4, engine);
    await put({ orders: byUser('true == true'), added: byUser('data.orderId >= 0') });
    await take(group, 5, engine); // it is the backfill's until then
    await take(backfill, 5);
    await assert.rejects(take(group, 6, engine), Outdated);
    engine.reset();
    await take(group, 6, engine);
    assert.deepEqual(await rows('SELECT query_id, matched::int FROM stream_counters ORDER BY query_id'), [
      { query_id: 1, matched: 6 },
      { query_id: 2, matched: 6 },
    ]);
  });

  it('is handed over where there is nothing left to be read', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await put({ orders: byUser('data.orderId >= 0') });
    await database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 10'); // as if all of it could not be read
    assert.equal(await promoteIdle(database.pool, new VersionSource(group), group), true);
    assert.equal(await promoteIdle(database.pool, new VersionSource(group), group), false);
    assert.equal(await serveCaughtUp(database.pool, group), true);
  });

  it('raises no alert that another version of the query has raised', async () => {
    await put({ high: high(7, 'first') });
    await take(group, 10);
    await put({ high: high(5, 'second') });
    await take(backfill, 10);
    assert.deepEqual(await rows('SELECT message, key FROM alerts ORDER BY key DESC'), [
      { message: 'first', key: '9' },
      { message: 'first', key: '8' },
      { message: 'second', key: '7' },
      { message: 'second', key: '6' },
    ]);
    assert.equal((await readOutbox(database.pool)).length, 4);
  });

  it('tells the live stream of no order again', async () => {
    await put({ orders: byUser('true == true') });
    log = log.map((event) => ({ ...event, time: now() }));
    await take(group, 10);
    await put({ orders: byUser('data.orderId >= 0') });
    await take(backfill, 10);
    assert.deepEqual(await rows(`SELECT count(*)::int AS n FROM feed WHERE kind = 'order'`), [{ n: 1 }]);
  });

  it('shows in the status how far it is', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await put({ orders: byUser('data.orderId >= 0'), added: byUser('data.orderId > 0') });
    await take(backfill, 6);
    const admin = {
      topicId: () => Promise.resolve(undefined),
      watermarks: () => Promise.resolve(new Map([[0, { low: 0n, high: 12n }]])),
    };
    const observer = new StreamObserver({ admin, pool: database.pool, group, topics: () => [topic] });
    await observer.refresh();
    const versions = await current();
    const board = new StatusBoard({ pool: database.pool, observer, versions: () => versions, faults: () => [] });
    const statuses = await board.statuses();
    assert.deepEqual(
      statuses.map(({ query, version, state, lag, building }) => {
        const { definition: _, ...progress } = building!;
        return { query, version, state, lag, building: progress };
      }),
      [
        {
          query: 'added',
          version: 1,
          state: 'Waiting',
          lag: 6,
          building: { version: 1, progress: 50, eventsLeft: 6 },
        },
        {
          query: 'orders',
          version: 1,
          state: 'Running',
          lag: 2,
          building: { version: 2, progress: 50, eventsLeft: 6 },
        },
      ],
    );
    const [, orders] = statuses;
    assert.notEqual(orders!.definition, orders!.building!.definition, 'each names the text that it follows');
  });
});
