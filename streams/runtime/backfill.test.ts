import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import type { Accumulator } from '#platform/inbox';
import { OffsetsMoved, Outdated, moveOffsets } from '#platform/inbox';
import { noteTruncated, restartOffsets } from '#platform/inbox/offsets.ts';
import { readOutbox } from '#platform/outbox/testing.ts';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { replayBatch } from '#platform/inbox/replay-batch.ts';
import { writerOf } from '#platform/inbox/testing.ts';
import {
  cleanUp,
  emitDue,
  forgetStarts,
  listWindows,
  lockVersionsShared,
  noteSkipped,
  serveCaughtUp,
  VersionSource,
} from '#streams/store';
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

  interface TakeOptions {
    accumulator?: Accumulator;
    /** the offsets of messages that cannot be handled */
    refused?: readonly number[];
    /** milliseconds since 1970 */
    now?: number;
  }

  /** Takes events as an inbox does, in one transaction. */
  async function take(of: string, until: number, options: TakeOptions = {}): Promise<void> {
    const { accumulator, refused = [], now: time = now() } = options;
    const source = new VersionSource(group);
    const engine = () =>
      current().then(
        (versions) =>
          new Engine({ group: of, pool: database.pool, source, versions, feed: orderFeed, now: () => time }),
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
    const events = log.slice(from, until).filter(({ offset }) => !refused.includes(Number(offset)));
    accumulation.add({ ...partition0, events, next: BigInt(until) });
    await transaction(database.pool, async (tx) => {
      await moveOffsets(tx, of, [{ ...partition0, expected: BigInt(from), next: BigInt(until) }]);
      for (const offset of refused)
        if (of === backfill) await noteSkipped(tx, group, [{ ...partition0, offset: BigInt(offset) }]);
        else
          await tx.query(
            `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", headers, timestamp, reason, attempts)
             VALUES ($1, $2, 0, $3, '{}', now(), 'refused', 1)`,
            [group, topic, offset],
          );
      await accumulation.write(tx);
    });
  }

  /** The version that is being built comes to the end of the topic, and serves; its start is forgotten. */
  const finish = async (options?: TakeOptions) => {
    await take(backfill, 10, options);
    assert.equal(await serveCaughtUp(database.pool, group), true);
    await forgetStarts(database.pool, group);
  };

  /** Takes events message by message, as an inbox does after a transaction with them has failed. @returns whether they are committed */
  async function takeOneByOne(until: number): Promise<boolean> {
    const { pool } = database;
    const engine = new Engine({ group, pool, source: new VersionSource(group), versions: await current(), now });
    const writer = writerOf({
      group,
      pool,
      handle: (tx, events) => engine.handle(tx, events),
      keepsOrder: false,
      maxBatch: 1,
    });
    const { signal } = new AbortController();
    for (let from = await offsetOf(group); from < until; from += 1) {
      const at = { ...partition0, offset: BigInt(from) };
      const message = { ...at, key: null, value: null, headers: {}, timestamp: 0 };
      const items = [{ message, event: log[from], failure: undefined, span: undefined }];
      const batch = { ...partition0, expected: at.offset, next: at.offset + 1n, items };
      if (!(await writer.write(batch, signal))) return false;
    }
    return true;
  }

  const askForReplay = () => database.pool.query('UPDATE millrace.dead_letters SET replay_requested_at = now()');

  /** Replays the dead letters of the group. @param events default: those of the topic as it is now */
  async function replay(events = log): Promise<void> {
    await askForReplay();
    const engine = new Engine({
      group,
      pool: database.pool,
      source: new VersionSource(group),
      versions: await current(),
      now,
    });
    const decode = ({ offset }: { offset: bigint }) => events.find((event) => event.offset === offset)!;
    const handle = engine.replay.bind(engine);
    const replayed = await transaction(database.pool, (tx) =>
      replayBatch(tx, { group, handle, decode }, { limit: 10, isLast: true }),
    );
    assert.ok(replayed?.every(({ isDone }) => isDone));
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
    await finish();
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
    await finish();
    assert.equal((await current()).hasStarts, true, 'the group has not passed it yet');
    await take(group, 10);
    await forgetStarts(database.pool, group);
    assert.equal((await current()).hasStarts, false);
    await recreate();
    await take(group, 10);
    assert.deepEqual(await windowsOf(), [
      ['0', 8],
      ['1', 8],
    ]);
  });

  /** As if the inboxes found the topic created again, and their policy were to read it from its start. */
  const restart = async () => {
    log = Array.from({ length: 10 }, (_, i) => orderEvent({ id: 100 + i, userId: i % 2, offset: i }));
    for (const reader of [group, backfill])
      await restartOffsets(database.pool, reader, [{ ...partition0, offset: 0n, topicId: recreated }]);
  };

  it('takes all events of a topic that is created again while the version is built from its first event, which was a later one', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await knowTopic();
    await put({ orders: byUser('data.orderId >= 1') }, 3n, 'the earlier topic');
    assert.equal(await offsetOf(backfill), 3);
    await restart();
    await take(group, 2);
    await take(backfill, 2);
    assert.equal(await serveCaughtUp(database.pool, group), true);
    assert.deepEqual(await windowsOf(), [
      ['0', 1],
      ['1', 1],
    ]);
  });

  it('takes all events of a topic that is created again while the version waits for others to be built', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 10);
    await knowTopic();
    await put({ orders: byUser('data.orderId >= 100') }, 0n, 'the earlier topic');
    await take(backfill, 6);
    await put({ orders: byUser('data.orderId >= 100'), added: byUser('data.orderId >= 0') }, 0n, 'the earlier topic');
    const starts = () =>
      rows('SELECT from_offset::int AS from, topic_id AS topic FROM stream_members ORDER BY query_id');
    assert.deepEqual(await starts(), [
      { from: 6, topic: 'the earlier topic' },
      { from: 0, topic: 'the earlier topic' },
    ]);
    await restart();
    await assert.rejects(take(backfill, 2), OffsetsMoved);
    await forgetStarts(database.pool, group);
    assert.deepEqual(await starts(), [
      { from: 0, topic: recreated },
      { from: 0, topic: recreated },
    ]);
    await take(group, 2);
    await take(backfill, 2);
    assert.equal(await serveCaughtUp(database.pool, group), true);
    assert.deepEqual(await windowsOf(), [
      ['0', 1],
      ['1', 1],
    ]);
  });

  it('takes all events of a topic that is created again before the group has come to where the version begins', async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 4);
    await knowTopic();
    await put({ orders: byUser('data.orderId >= 100') }, 0n, 'the earlier topic');
    await take(backfill, 8);
    await serveCaughtUp(database.pool, group);
    await restart();
    await assert.rejects(take(group, 4), OffsetsMoved);
    assert.equal(await takeOneByOne(4), false);
    assert.deepEqual(await rows('SELECT FROM millrace.dead_letters'), []);
    await forgetStarts(database.pool, group);
    await take(group, 10);
    assert.deepEqual(await windowsOf(), [
      ['0', 5],
      ['1', 5],
    ]);
  });

  it('holds up no batch while there is no start to be forgotten', { timeout: 20_000 }, async () => {
    await put({ orders: byUser('true == true') });
    await take(group, 4);
    await put({ orders: byUser('data.orderId >= 1') });
    await take(backfill, 8);
    await transaction(database.pool, async (tx) => {
      const epoch = await lockVersionsShared(tx);
      await forgetStarts(database.pool, group);
      assert.equal(await lockVersionsShared(tx), epoch);
    });
    assert.equal((await current()).hasStarts, true);
  });

  describe('and a dead letter of the group', () => {
    const all = [
      ['0', 5],
      ['1', 5],
    ];
    /** The second version is built. */
    const build = async (refused?: readonly number[]) => {
      await put({ orders: byUser('data.orderId >= 0') });
      await finish(refused && { refused });
      assert.equal((await current()).hasStarts, false);
    };

    beforeEach(() => put({ orders: byUser('true == true') }));

    it('has it once, from its backfill', async () => {
      await take(group, 10, { refused: [3, 9] });
      await build();
      assert.deepEqual(await windowsOf(), all);
      await cleanUp(database.pool);
      await replay();
      assert.deepEqual(await windowsOf(), all);
      await cleanUp(database.pool);
      assert.deepEqual(await rows('SELECT FROM stream_letters'), []);
    });

    it('has it once, where its replay is asked for when the start is forgotten', async () => {
      await take(group, 10, { refused: [3] });
      await askForReplay();
      await build();
      await replay();
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, where the group could not handle it after the backfill had done so', async () => {
      await take(group, 4);
      await put({ orders: byUser('data.orderId >= 0') });
      await take(backfill, 8);
      await serveCaughtUp(database.pool, group);
      await take(group, 10, { refused: [6, 9] }); // one that the backfill has read, and one that it has not
      await forgetStarts(database.pool, group);
      assert.deepEqual(await windowsOf(), [
        ['0', 5],
        ['1', 4],
      ]);
      await replay();
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, from the replay, where its backfill could not handle it either', async () => {
      await take(group, 10, { refused: [3, 4] });
      await build([3]);
      await replay();
      assert.deepEqual(await windowsOf(), all);
      assert.deepEqual(await rows('SELECT FROM stream_letters WHERE NOT is_taken'), []);
    });

    it('has it once, from the replay, where Kafka has it no more when its backfill begins', async () => {
      await take(group, 10, { refused: [1, 4] });
      await put({ orders: byUser('data.orderId >= 0') }, 3n);
      await finish();
      await replay();
      assert.deepEqual(await windowsOf(), [
        ['0', 3],
        ['1', 5],
      ]);
    });

    it('has it once, from the replay, where Kafka has it no more, and a backfill that others wait for has not come to it', async () => {
      await take(group, 10, { refused: [1, 4] });
      const added = byUser('data.orderId >= 100');
      await put({ orders: byUser('true == true'), added });
      await take(backfill, 1);
      await put({ orders: byUser('data.orderId >= 0'), added }, 3n);
      assert.equal(await offsetOf(backfill), 1);
      await database.pool.query(
        `UPDATE millrace.inbox_offsets SET next_offset = 3 WHERE consumer_group = '${backfill}'`,
      );
      await finish();
      await replay();
      assert.deepEqual(await windowsOf(), [
        ['0', 3],
        ['1', 5],
      ]);
    });

    it('has it once, from a replay before the version begins, where its backfill could not handle it', async () => {
      await take(group, 8, { refused: [3, 4] });
      await put({ orders: byUser('data.orderId >= 0') });
      await take(backfill, 6, { refused: [3, 4] });
      await replay();
      await take(backfill, 10);
      await serveCaughtUp(database.pool, group);
      await take(group, 10);
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, from its backfill, where it is replayed before that comes to it', async () => {
      await take(group, 10, { refused: [8] });
      await put({ orders: byUser('data.orderId >= 0') });
      await take(backfill, 6);
      await replay();
      await take(backfill, 10);
      await serveCaughtUp(database.pool, group);
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, where the topic was created again before the group had come to where the version begins', async () => {
      await take(group, 6, { refused: [3] });
      await knowTopic();
      await put({ orders: byUser('data.orderId >= 0') }, 0n, 'the earlier topic');
      await take(backfill, 8);
      await serveCaughtUp(database.pool, group);
      const earlier = log;
      await restart();
      await forgetStarts(database.pool, group);
      await replay(earlier);
      assert.deepEqual(await windowsOf(), [
        ['0', 4],
        ['1', 4],
      ]);
    });

    it('has it once, from the replay, where it is of an earlier topic than the one that the version was built from', async () => {
      await take(group, 10, { refused: [3] });
      await knowTopic();
      const earlier = log;
      await restart();
      await take(group, 10);
      await put({ orders: byUser('data.orderId >= 0') }, 0n, recreated);
      await finish();
      await replay(earlier);
      assert.deepEqual(await windowsOf(), [
        ['0', 5],
        ['1', 6],
      ]);
    });

    it('has it once, where the topic was created again before its replay', async () => {
      await take(group, 10, { refused: [3] });
      await knowTopic();
      await build();
      const earlier = log;
      await restart();
      await replay(earlier);
      assert.deepEqual(await windowsOf(), all);
      await take(group, 10);
      assert.deepEqual(await windowsOf(), [
        ['0', 10],
        ['1', 10],
      ]);
    });

    it('has it once, from the replay, where its backfill cannot handle it and finds the topic created again', async () => {
      await take(group, 10);
      await knowTopic();
      await put({ orders: byUser('data.orderId >= 100') }, 0n, 'the earlier topic');
      await restart();
      await take(group, 10, { refused: [3] });
      await assert.rejects(take(backfill, 5, { refused: [3] }), OffsetsMoved);
      await forgetStarts(database.pool, group);
      await finish({ refused: [3] });
      await replay();
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, from the replay, where it is all that its backfill has read of a topic that was created again', async () => {
      await take(group, 10);
      await knowTopic();
      await put({ orders: byUser('data.orderId >= 100') }, 0n, 'the earlier topic');
      await take(backfill, 6);
      await put({ orders: byUser('data.orderId >= 100'), added: byUser('data.orderId >= 0') }, 0n, 'the earlier topic');
      await restart();
      await take(group, 10, { refused: [0] });
      await assert.rejects(take(backfill, 1, { refused: [0] }), OffsetsMoved);
      await forgetStarts(database.pool, group);
      await finish({ refused: [0] });
      await replay();
      assert.deepEqual(await windowsOf(), all);
    });

    it('has it once, where the log lost its end before the group had come to where the version begins', async () => {
      await take(group, 6, { refused: [3] });
      await knowTopic();
      await put({ orders: byUser('data.orderId >= 0') }, 0n, 'the earlier topic');
      await take(backfill, 8);
      await serveCaughtUp(database.pool, group);
      await noteTruncated(database.pool, group, [partition0]);
      await forgetStarts(database.pool, group);
      assert.equal((await current()).hasStarts, false);
      await replay();
      assert.deepEqual(await windowsOf(), [
        ['0', 4],
        ['1', 4],
      ]);
    });

    it('is forgotten of a version that a process of an earlier release has retired', async () => {
      await take(group, 10, { refused: [3] });
      await build();
      await cleanUp(database.pool);
      assert.equal((await rows('SELECT FROM stream_letters')).length, 1);
      await database.pool.query('UPDATE stream_queries SET retired_at = now()');
      await cleanUp(database.pool);
      assert.deepEqual(await rows('SELECT FROM stream_letters'), []);
    });

    it('leaves the event at its offset to a topic that is created again, where the group takes this one by one', async () => {
      await take(group, 10, { refused: [3] });
      await knowTopic();
      await build();
      await restart();
      assert.equal(await takeOneByOne(10), true);
      assert.deepEqual(await windowsOf(), [
        ['0', 10],
        ['1', 10],
      ]);
    });
  });

  it('makes those who know nothing of it yet read their events again', async () => {
    await put({ orders: byUser('true == true') });
    const source = new VersionSource(group);
    const engine = new Engine({ group, pool: database.pool, source, versions: await current(), now });
    await take(group, 4, { accumulator: engine });
    await put({ orders: byUser('true == true'), added: byUser('data.orderId >= 0') });
    await take(group, 5, { accumulator: engine }); // it is the backfill's until then
    await take(backfill, 5);
    await assert.rejects(take(group, 6, { accumulator: engine }), Outdated);
    engine.reset();
    await take(group, 6, { accumulator: engine });
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

  for (const [kind, window] of [
    ['an event', ''],
    ['a window', 'window: { tumbling: 1m, grace: 1h }'],
    ['a session', 'window: { session: 1m, grace: 1h }'],
  ] as const)
    it(`raises no alert about ${kind} of its backfill from before the alerts that are kept`, async () => {
      const day = 86_400_000;
      const large = (threshold: number, message: string) =>
        high(threshold, message).replace('value: data', 'max: data').replace('emit:', `${window}\nemit:`);
      const spec = window ? large : high;
      await put({ high: spec(7, 'first') });
      log[8] = orderEvent({ id: 8, total: 8, time: start + 2 * day });
      await take(group, 10);
      await rows('TRUNCATE alerts'); // as if it were long ago
      await put({ high: spec(5, 'second') });
      await finish({ now: start + 91 * day });
      const raised = () => rows('SELECT message, key FROM alerts ORDER BY id');
      assert.deepEqual(await raised(), [{ message: 'second', key: '8' }]);
      log[10] = orderEvent({ id: 10, total: 10, partition: 0, time: start + 3 * day });
      await take(group, 11, { now: start + 191 * day });
      assert.deepEqual((await raised()).slice(1), [{ message: 'second', key: '10' }]);
    });

  it('publishes a metric of each event from the first on, where the query has no window', async () => {
    const statuses = (where: string) =>
      `from: [{ topic: ${topic} }]
where: ${where}
select: [{ name: orders, value: data.orderId }]
emit: { to: analytics-events }
`;
    await put({ statuses: statuses('data.orderId < 2') });
    await take(group, 10);
    await put({ statuses: statuses('data.orderId < 1') });
    await take(backfill, 10);
    assert.deepEqual(await published(), ['version 1: 0 of all', 'version 1: 1 of all', 'version 2: 0 of all']);
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
