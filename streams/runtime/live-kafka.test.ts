import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { encodeHeaders, InvalidEvent } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { decideOffsets } from '#platform/inbox/decide.ts';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import { createPool } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import type { Versions } from '#streams/engine';
import { listWindows, VersionSource } from '#streams/store';
import { start } from '#streams/testing/support.ts';
import { lazyDecoder } from './accumulation.ts';
import { Backfill } from './backfill.ts';
import { Engine } from './engine.ts';
import { LiveQueries } from './live-queries.ts';
import { StreamObserver } from './observer.ts';
import { StatusBoard } from './status.ts';
import { createWorkers } from './workers.ts';

const log = createLogger('test', 'silent');
const users = 7;

/** A worker of the service, with files of its own. */
interface Worker {
  queries: LiveQueries;
  board: StatusBoard;
  stop(): Promise<void>;
}

describe('stream queries that change while two workers read a topic', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let producer: Producer;
  let topic: string;
  let group: string;
  let sent = 0;
  const running: Worker[] = [];
  const folders: string[] = [];

  before(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'live-test', log });
    producer = await kafka.producer();
  });
  beforeEach(async (context) => {
    database = await createTestDatabase('analytics');
    topic = await uniqueTopic('live', 4);
    group = `group-${topic}`;
    sent = 0;
    assert.ok('after' in context);
    context.after(async () => {
      await Promise.all(running.splice(0).map((one) => one.stop()));
      for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
      await database.drop();
    });
  });
  after(async () => {
    await producer.close();
    await kafka.close();
  });

  /** A folder of declarations with these queries. */
  function declarations(files: Record<string, string>): string {
    const folder = mkdtempSync(join(tmpdir(), 'live-'));
    folders.push(folder);
    mkdirSync(join(folder, 'services'));
    mkdirSync(join(folder, 'queries'));
    writeFileSync(
      join(folder, 'services/orders.yaml'),
      `kind: EventService
metadata: { name: orders }
spec: { produces: [{ topic: ${topic}, partitions: 4, retention: 1d }] }`,
    );
    for (const [name, text] of Object.entries(files)) put(folder, name, text);
    return folder;
  }

  const put = (folder: string, name: string, text: string) =>
    writeFileSync(join(folder, 'queries', `${name}.yaml`), text);

  /** Orders by user; `where` tells definitions apart. */
  const byUser = (name: string, where = 'data.orderId >= 0') => `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: ${name} }
spec:
  from: [{ topic: ${topic} }]
  where: ${where}
  keyBy: string(data.userId)
  window: { tumbling: 1d, grace: 1d }
  select: [{ name: revenue, sum: data.totalAmount }, { name: orders, count: true }]`;

  async function worker(folder: string): Promise<Worker> {
    const pool = createPool({ name: 'live-test', url: database.url, max: 6, log });
    const source = new VersionSource(group);
    const shared = { group, topics: [topic], pool, kafka, log, source, health: new Health() };
    const backfill = new Backfill({ decode: lazyDecoder({}), ...shared, onCommitted: () => queries.wake() });
    const queries = new LiveQueries({
      ...shared,
      admin: kafka.admin,
      declarations: folder,
      follow: (versions) => backfill.follow(versions),
    });
    await queries.start();
    const versions = () => queries.versions;
    const engine = new Engine({ group, pool, source, versions: versions() });
    const observer = new StreamObserver({ admin: kafka.admin, pool, group, topics: () => [topic] });
    const board = new StatusBoard({ pool, observer, versions, faults: () => queries.faults });
    const { health } = shared;
    const others = createWorkers({ pool, log, health, versions, observer, board, onEmitted: () => undefined });
    for (const other of others) other.start();
    const inbox = new Inbox({
      ...shared,
      decode: lazyDecoder({}),
      handle: (tx, events) => engine.handle(tx, events),
      replay: (tx, events) => engine.replay(tx, events),
      accumulator: engine,
      maxBatch: 20,
    });
    inbox.start();
    const own = {
      queries,
      board,
      async stop() {
        if (running.includes(own)) running.splice(running.indexOf(own), 1);
        await Promise.all([queries.stop(), inbox.stop(), ...others.map((other) => other.stop())]);
        await backfill.stop();
        await pool.end();
      },
    };
    running.push(own);
    return own;
  }

  async function send(count: number): Promise<void> {
    const messages = Array.from({ length: count }, () => {
      const id = sent++;
      const key = String(id);
      const value = Buffer.from(JSON.stringify({ orderId: id, userId: id % users, totalAmount: id / 100 }));
      const time = new Date(start + id);
      return {
        key,
        value,
        headers: encodeHeaders({ id: `order-${id}`, type: 'test.order', source: '/test', subject: key, time }),
      };
    });
    const placed = await Promise.all(
      messages.map(async (message) => ({ message, partition: await producer.partitionFor(topic, message.key) })),
    );
    for (const [partition, own] of Map.groupBy(placed, (one) => one.partition))
      await producer.send(
        topic,
        partition,
        own.map(({ message }) => message),
      );
  }

  /** The expected windows by user, for the orders that a definition selects. */
  function expected(wants: (id: number) => boolean = () => true) {
    return Array.from({ length: users }, (_, user) => {
      const own = Array.from({ length: sent }, (__, id) => id).filter((id) => id % users === user && wants(id));
      return [String(user), { revenue: own.reduce((sum, id) => sum + id, 0) / 100, orders: own.length }];
    });
  }

  async function windowsOf(name: string): Promise<unknown> {
    const plan = (await new VersionSource(group).load(database.pool)).serving.named(name);
    const windows = plan && (await listWindows(database.pool, plan, { limit: 100 }, undefined));
    return windows?.map(({ key, values }) => [key, values]);
  }

  /** Waits until the windows of a query are these. */
  async function reach(name: string, windows: unknown, withinMs = 60_000): Promise<void> {
    let last: unknown;
    const text = JSON.stringify(windows);
    try {
      await eventually(async () => JSON.stringify((last = await windowsOf(name))) === text, name, withinMs);
    } catch {
      assert.deepEqual(last, windows, name);
    }
  }

  async function registered(): Promise<unknown[]> {
    const { rows } = await database.pool.query<unknown[]>({
      text: 'SELECT name, version, served_at IS NOT NULL, retired_at IS NOT NULL FROM stream_queries ORDER BY id',
      rowMode: 'array',
    });
    return rows;
  }

  /** Sends orders until it is told to stop. */
  function flow(): () => Promise<void> {
    const over = new AbortController();
    const flowing = (async () => {
      while (!over.signal.aborted) await send(20);
    })();
    return () => {
      over.abort();
      return flowing;
    };
  }

  const liveQueries = (
    folder: string,
    own: Kafka,
    follow: (versions: Versions) => Promise<void>,
    health = new Health(),
  ) =>
    new LiveQueries({
      group,
      topics: [topic],
      pool: database.pool,
      admin: own.admin,
      log,
      health,
      source: new VersionSource(group),
      declarations: folder,
      follow,
    });

  it('leave nothing behind when a worker stops following them', async () => {
    const folder = declarations({ all: byUser('all'), other: byUser('other').replace(topic, 'no-such-topic') });
    await assertStopsCompletely(kafka, (own) => liveQueries(folder, own, () => Promise.resolve()));
  });

  /** A query that a backfill has to build: the group has read the topic before. */
  async function toBuild() {
    const folder = declarations({ all: byUser('all') });
    await send(500);
    for (const [partition, { high }] of await kafka.admin.watermarks(topic))
      await database.pool.query(
        'INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4)',
        [group, topic, partition, String(high)],
      );
    const queries = liveQueries(folder, kafka, () => Promise.resolve());
    await queries.start();
    await queries.stop();
    assert.ok(queries.versions.backlog.length > 0);
    const source = new VersionSource(group);
    const shared = { group, topics: [topic], pool: database.pool, log, source, decode: lazyDecoder({}) };
    return { queries, shared };
  }

  it('say in the health of the service why a version is not built, which takes requests meanwhile', async (context) => {
    const { queries, shared } = await toBuild();
    await database.pool.query(`UPDATE millrace.inbox_offsets SET topic_id = 'deleted'`);
    const health = new Health();
    let ahead = 0;
    const now = () => Date.now() + ahead;
    const committed = Promise.withResolvers<void>();
    const backfill = new Backfill({ ...shared, kafka, health, now, onCommitted: () => committed.resolve() });
    context.after(() => backfill.stop());
    await backfill.follow(queries.versions);
    assert.equal((await health.report()).status, 'UP', 'it may take a while to join the group');
    ahead = 60_000;
    const name = `backfill ${group}.versions`;
    const isRefused = async () => (await health.report()).checks[name]?.reason?.includes('created again');
    await eventually(isRefused, 'the reason', 20_000);
    assert.match(
      (await health.report()).checks[name]!.reason!,
      new RegExp(`npm run offsets -- restart ${group}.versions ${topic} reads it from its start`),
    );
    assert.equal((await health.readiness()).status, 'UP');
    assert.equal((await health.liveness()).status, 'UP');
    const { admin } = kafka;
    await decideOffsets({ pool: database.pool, admin }, { group: `${group}.versions`, topic, decision: 'restart' });
    await committed.promise;
    await eventually(async () => (await health.report()).status === 'UP', 'it is well', 20_000);
    await backfill.stop();
    assert.equal((await health.report()).status, 'UP');
  });

  it('say in the health of the service that they are not followed', async (context) => {
    const health = new Health();
    const queries = liveQueries(declarations({ all: byUser('all') }), kafka, () => Promise.resolve(), health);
    context.after(() => queries.stop());
    await queries.start();
    const now = performance.now.bind(performance);
    let ahead = 0;
    const clock = context.mock.method(performance, 'now', () => now() + ahead);
    const reason = async () => (await health.report()).checks['follow the stream queries']!.reason ?? '';
    assert.equal(await reason(), '');
    await database.pool.query('ALTER TABLE stream_epoch RENAME TO gone');
    const isSaid = async () => {
      ahead += 100;
      return /^"follow the stream queries" has not succeeded for \d+ s: .*stream_epoch/.test(await reason());
    };
    await eventually(isSaid, 'health says so', 60_000);
    await database.pool.query('ALTER TABLE gone RENAME TO stream_epoch');
    queries.wake();
    await eventually(async () => (await reason()) === '', 'it is well again');
    clock.mock.restore();
  });

  it('note the messages that a backfill cannot handle for the versions that it builds', async (context) => {
    const { queries, shared } = await toBuild();
    const decodeAll = lazyDecoder({});
    const decode: typeof decodeAll = (message, headers) => {
      if (message.key === '3') throw new InvalidEvent('refused');
      return decodeAll(message, headers);
    };
    const backfill = new Backfill({ ...shared, decode, kafka, health: new Health(), onCommitted: () => undefined });
    context.after(() => backfill.stop());
    await backfill.follow(queries.versions);
    const isBuilt = async () => (await new VersionSource(group).load(database.pool)).backlog.length === 0;
    await eventually(isBuilt, 'the live group takes all partitions over', 20_000);
    const { rows } = await database.pool.query('SELECT query_id, partition, is_taken FROM stream_letters');
    const partition = await producer.partitionFor(topic, '3');
    assert.deepEqual(rows, [{ query_id: 1, partition, is_taken: false }]);
  });

  it('leave nothing behind when a worker stops reading for a version that is built', async () => {
    const { queries, shared } = await toBuild();
    await assertStopsCompletely(kafka, (own) => {
      const health = new Health();
      const backfill = new Backfill({ ...shared, kafka: own, health, onCommitted: () => undefined });
      return { start: () => backfill.follow(queries.versions), stop: () => backfill.stop() };
    });
  });

  it('leave nothing behind when a worker stops observing', async () => {
    const folder = declarations({ all: byUser('all') });
    const queries = liveQueries(folder, kafka, () => Promise.resolve());
    await queries.start();
    await queries.stop();
    const versions = () => queries.versions;
    const { pool } = database;
    await assertStopsCompletely(kafka, (own) => {
      const observer = new StreamObserver({ admin: own.admin, pool, group, topics: () => [topic] });
      const board = new StatusBoard({ pool, observer, versions, faults: () => [] });
      const health = new Health();
      const workers = createWorkers({ pool, log, health, versions, observer, board, onEmitted: () => undefined });
      return {
        start: () => workers.forEach((one) => one.start()),
        stop: async () => void (await Promise.all(workers.map((one) => one.stop()))),
      };
    });
  });

  it('come, change and go with the files, each worker seeing them in its own time', async () => {
    const first = declarations({ all: byUser('all') });
    const second = declarations({ all: byUser('all') });
    await send(500);
    await Promise.all([worker(first), worker(second)]);
    const stopFlow = flow();
    put(first, 'even', byUser('even', 'int(data.orderId) % 2 == 0'));
    await eventually(async () => (await windowsOf('even')) !== undefined, 'even to be served', 60_000);
    put(second, 'all', byUser('all', 'data.orderId >= 100'));
    await eventually(async () => (await registered()).length === 3, 'a version', 60_000);
    const isServed = async () => JSON.stringify((await registered())[2]) === '["all",2,true,false]';
    await eventually(isServed, 'the new version to be served', 60_000);
    put(second, 'even', byUser('even', 'int(data.orderId) % 2 == 0'));
    put(first, 'all', byUser('all', 'data.orderId >= 100'));
    await send(100);
    await stopFlow();
    await reach(
      'all',
      expected((id) => id >= 100),
    );
    await reach(
      'even',
      expected((id) => id % 2 === 0),
    );
    assert.deepEqual(await registered(), [
      ['all', 1, true, true],
      ['even', 1, true, false],
      ['all', 2, true, false],
    ]);
    rmSync(join(first, 'queries/even.yaml'));
    await eventually(async () => (await windowsOf('even')) === undefined, 'even to be gone', 60_000);
    rmSync(join(second, 'queries/even.yaml'));
    put(second, 'seen', byUser('seen')); // at once with that: who has seen this has seen it go
    await eventually(async () => (await registered()).some((row) => (row as unknown[])[0] === 'seen'), 'seen', 60_000);
    put(first, 'even', byUser('even', 'int(data.orderId) % 2 == 0'));
    await reach(
      'even',
      expected((id) => id % 2 === 0),
    );
    const starts = async () => (await database.pool.query('SELECT FROM stream_members')).rowCount;
    await eventually(async () => (await starts()) === 0, 'where versions began to be forgotten');
  });

  it('are exact though connections are lost and a worker leaves while a version is built', async () => {
    const folder = declarations({ all: byUser('all') });
    await send(20_000);
    const [left] = await Promise.all([worker(folder), worker(folder)]);
    await reach('all', expected());
    const stopFlow = flow();
    put(folder, 'all', byUser('all', 'int(data.orderId) % 3 == 0'));
    let kills = 0;
    await eventually(
      async () => {
        const { rowCount } = await database.pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name = 'millrace-live-test' AND state <> 'idle'
             AND query LIKE ANY(ARRAY['%stream_windows%', '%stream_recent_ids%', '%stream_members%'])`,
        );
        kills += rowCount ?? 0;
        if (kills > 3 && running.includes(left)) await left.stop();
        const [, next] = (await registered()) as unknown[][];
        return kills > 6 || next?.[2] === true;
      },
      'connections to be lost',
      60_000,
    );
    await stopFlow();
    await reach(
      'all',
      expected((id) => id % 3 === 0),
    );
    assert.deepEqual(await registered(), [
      ['all', 1, true, true],
      ['all', 2, true, false],
    ]);
  });

  it('go on as they were while a file has a mistake, which the status says with its line', async () => {
    const folder = declarations({ all: byUser('all'), never: byUser('never', 'dat.orderId > 1') });
    await send(100);
    const { board, queries } = await worker(folder);
    await reach('all', expected());
    put(folder, 'all', byUser('all').replace('keyBy', 'keyby'));
    await eventually(async () => queries.faults.some(({ query }) => query === 'all'), 'a fault');
    await send(100);
    await reach('all', expected());
    const statuses = await board.statuses();
    assert.deepEqual(
      statuses.map(({ query, version, state, faults }) => ({ query, version, state, faults })),
      [
        {
          query: 'all',
          version: 1,
          state: 'Running',
          faults: ['all.yaml:7: spec.keyby: there is no such field; did you mean keyBy?'],
        },
        {
          query: 'never',
          version: 0,
          state: 'Failed',
          faults: ['never.yaml:6: spec.where: Unknown variable: dat (character 1); did you mean data?'],
        },
      ],
    );
    put(folder, 'all', byUser('all', 'data.orderId > 50'));
    await reach(
      'all',
      expected((id) => id > 50),
    );
    assert.deepEqual(
      queries.faults.map(({ query }) => query),
      ['never'],
    );
  });

  it('follow a ConfigMap, whose files change with one symbolic link', async (context) => {
    const folder = declarations({});
    const queries = join(folder, 'queries');
    const publish = (version: string, text: string) => {
      mkdirSync(join(queries, `..${version}`));
      writeFileSync(join(queries, `..${version}`, 'all.yaml'), text);
      symlinkSync(`..${version}`, join(queries, '..data_tmp'));
      renameSync(join(queries, '..data_tmp'), join(queries, '..data'));
    };
    publish('v1', byUser('all'));
    symlinkSync('..data/all.yaml', join(queries, 'all.yaml'));
    await send(100);
    await worker(folder);
    await reach('all', expected());
    const begin = performance.now();
    publish('v2', byUser('all', 'data.orderId > 50'));
    await reach(
      'all',
      expected((id) => id > 50),
    );
    const took = performance.now() - begin;
    context.diagnostic(`in effect after ${Math.round(took)} ms`);
  });
});
