import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createDecoder, encodeHeaders, InvalidEvent, readJson } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Plan } from '#platform/kafka/testing/foreign-producer.ts';
import type { IncomingMessage, Kafka, Producer } from '#platform/kafka';
import { transaction } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { assertStopsCompletely } from '#test/stopping.ts';
import { Rebuilder } from './rebuilder.ts';
import { createNextTables, nextSchema, shapeOf } from './tables.ts';
import { administer } from '#platform/kafka/testing/administer.ts';

const log = createLogger('rebuild-test', 'silent');
const withinMs = 60_000;
const foreignProducer = fileURLToPath(import.meta.resolve('#platform/kafka/testing/foreign-producer.ts'));

/** A read model of parcels, and how many are in each status, by partition. */
const projectionTables = ['parcels', 'parcel_statistics'];
const tablesSql = `
  CREATE TABLE parcels (id bigint PRIMARY KEY, status text NOT NULL CHECK (status <> '')) WITH (fillfactor = 90);
  CREATE INDEX parcels_status ON parcels (status, id);
  CREATE TABLE parcel_statistics (
    partition int NOT NULL, status text NOT NULL, parcels bigint NOT NULL DEFAULT 0, PRIMARY KEY (partition, status))`;

async function project(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
  for (const { data, key, partition } of events) {
    const { status, previous } = data as { status: string; previous?: string };
    await tx.query(
      'INSERT INTO parcels (id, status) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET status = excluded.status',
      [key, status],
    );
    await tx.query(
      `INSERT INTO parcel_statistics AS s (partition, status, parcels)
       SELECT $1, * FROM unnest($2::text[], $3::int[]) AS d(status, parcels) ORDER BY status
       ON CONFLICT (partition, status) DO UPDATE SET parcels = s.parcels + excluded.parcels`,
      previous === undefined ? [partition, [status], [1]] : [partition, [status, previous], [1, -1]],
    );
  }
}

/** the ids of the events that no version can read now */
const refused = new Set<string>();
const decodeAny = createDecoder<IncomingMessage>(readJson);
const decode: typeof decodeAny = (message, headers) => {
  if (refused.has(message.headers['ce_id']!)) throw new InvalidEvent('refused');
  return decodeAny(message, headers);
};

describe('building the read model anew', () => {
  let kafka: Kafka;
  let producer: Producer;
  let database: TestDatabase;
  let topic: string;
  let group: string;
  let inbox: Inbox;
  let rebuilders: Rebuilder[];
  let parcels = 0;

  before(async () => {
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'rebuild-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    await producer.close();
    await kafka.close();
  });
  beforeEach(async () => {
    [rebuilders, parcels] = [[], 0];
    [database, topic] = await Promise.all([createTestDatabase(), uniqueTopic('parcel-events', 3)]);
    await database.pool.query(tablesSql);
    group = `projection-${topic}`;
    refused.clear();
    inbox = startInbox();
  });
  afterEach(async () => {
    await Promise.all(rebuilders.map((rebuilder) => rebuilder.stop()));
    await inbox.stop();
    await database.drop();
  });

  const startInbox = () => {
    const started = new Inbox({
      group,
      topics: [topic],
      pool: database.pool,
      kafka,
      log,
      health: new Health(),
      decode,
      handle: project,
    });
    started.start();
    return started;
  };
  const newRebuilder = (via: Kafka) => {
    const { url } = database;
    return new Rebuilder({
      group,
      topics: [topic],
      url,
      kafka: via,
      decode,
      handle: project,
      tables: projectionTables,
      log,
      onSwitched: () => undefined,
      pollMs: 100,
    });
  };
  const startRebuilder = (via = kafka) => {
    const rebuilder = newRebuilder(via);
    rebuilders.push(rebuilder);
    rebuilder.start();
    return rebuilder;
  };
  const send = async (id: number, data: { status: string; previous?: string }) => {
    const time = new Date(Date.UTC(2026, 0, 1));
    const envelope = {
      id: `${data.status}-${id}`,
      type: 'parcel.moved',
      source: '/parcels',
      subject: String(id),
      time,
    };
    const value = Buffer.from(JSON.stringify(data));
    const partition = await producer.partitionFor(topic, String(id));
    const messages = [{ key: String(id), value, headers: encodeHeaders(envelope) }];
    // a new topic may still be without a leader
    await eventually(
      () =>
        producer.send(topic, partition, messages).then(
          () => true,
          () => false,
        ),
      'it is sent',
      withinMs,
    );
  };
  /** Takes some parcels in and ships every second of them. */
  const trade = async (count: number) => {
    for (let i = 0; i < count; i += 1) {
      parcels += 1;
      await send(parcels, { status: 'PENDING' });
      if (parcels % 2 === 0) await send(parcels, { status: 'SHIPPED', previous: 'PENDING' });
    }
  };
  const request = (name = 'one') =>
    database.pool.query('INSERT INTO millrace.projection_rebuilds (consumer_group, request) VALUES ($1, $2)', [
      group,
      name,
    ]);
  const rebuild = async () => {
    const { rows } = await database.pool.query<{ phase: string; error: string | null; events: string }>(
      'SELECT phase, error, events FROM millrace.projection_rebuilds ORDER BY version DESC LIMIT 1',
    );
    return rows[0]!;
  };
  const summary = async () => {
    const { rows } = await database.pool.query<{ status: string; n: number }>(
      'SELECT status, count(*)::int AS n FROM parcels GROUP BY status ORDER BY status',
    );
    const { rows: counts } = await database.pool.query<{ status: string; n: number }>(
      `SELECT status, sum(parcels)::int AS n FROM parcel_statistics
       GROUP BY status HAVING sum(parcels) > 0 ORDER BY status`,
    );
    return { rows, counts };
  };
  const right = async () => {
    const shipped = Math.floor(parcels / 2);
    const expected = [
      { status: 'PENDING', n: parcels - shipped },
      { status: 'SHIPPED', n: shipped },
    ];
    return JSON.stringify(await summary()) === JSON.stringify({ rows: expected, counts: expected });
  };

  it('leaves nothing behind when it stops, in the middle of a build too', async () => {
    await trade(10);
    await inbox.stop();
    await assertStopsCompletely(kafka, async (own) => {
      await database.pool.query('DELETE FROM millrace.projection_rebuilds');
      await request();
      return newRebuilder(own);
    });
  });

  it('takes the place of one that is wrong, in one step, while events come in', async () => {
    await trade(30);
    await eventually(right, 'all are projected', withinMs);
    const shape = await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, 'public'));
    // a mistake of an earlier program: some parcels are missing, others wrong
    await database.pool.query(
      "DELETE FROM parcels WHERE id % 3 = 0; UPDATE parcels SET status = 'CANCELLED' WHERE id % 5 = 0",
    );
    await request();
    startRebuilder();
    startRebuilder(); // another replica
    let seen = 0;
    const done = new AbortController();
    const reading = (async () => {
      // whoever reads meanwhile sees a version as a whole, and never an empty one
      while (!done.signal.aborted) {
        const { rows } = await database.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM parcels');
        assert.ok(rows[0]!.n >= 20, `${rows[0]!.n} parcels`);
        seen += 1;
      }
    })();
    await trade(30);
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    await trade(10);
    await eventually(right, 'it is right, and goes on', withinMs);
    done.abort();
    await reading;
    assert.ok(seen > 0);
    // the inbox notices when its topic is created again
    const { rows: topics } = await database.pool.query('SELECT DISTINCT topic_id FROM millrace.inbox_offsets');
    assert.deepEqual(topics, [{ topic_id: await kafka.admin.topicId(topic) }]);
    // a migration finds everything by the same names
    assert.equal(await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, 'public')), shape);
    const { rows } = await database.pool.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_namespace WHERE nspname LIKE 'projection%'",
    );
    assert.equal(rows[0]!.n, 0);
  });

  it('takes the place of one although partitions end in what is not to be read, or have lost their records', async () => {
    await trade(20);
    await eventually(right, 'all are projected', withinMs);
    const { brokers } = testKafka();
    const plan: Plan = {
      brokers: brokers.split(','),
      topic,
      steps: [
        { producer: 'other', kind: 'record', key: '1', value: 'nothing' },
        { producer: 'other', kind: 'abort' },
      ],
    };
    const { status, stderr } = spawnSync(process.execPath, ['--no-warnings', foreignProducer], {
      input: JSON.stringify(plan),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    await administer(async (admin) => {
      await admin.fetchTopicOffsets(topic); // without it kafkajs knows no leader
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 1, offset: '-1' }] });
    });
    await request();
    startRebuilder();
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    const { rows } = await database.pool.query<{ n: number }>('SELECT count(*)::int AS n FROM parcels');
    assert.ok(rows[0]!.n > 0 && rows[0]!.n < parcels, 'what was in the log');
  });

  it('goes on where it was interrupted', async () => {
    await trade(20);
    await eventually(right, 'all are projected', withinMs);
    await request();
    const first = startRebuilder();
    await eventually(
      async () => {
        const { rows } = await database.pool.query('SELECT FROM millrace.projections WHERE consumer_group = $1', [
          group,
        ]);
        return rows.length === 1;
      },
      'it has said what can be built anew',
      withinMs,
    );
    await eventually(async () => (await rebuild()).phase !== 'Requested', 'it has begun', withinMs);
    await first.stop();
    startRebuilder();
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    assert.ok(await right());
  });

  it('reads on though events came before it knew where to begin', async () => {
    await trade(10);
    await eventually(right, 'all are projected', withinMs);
    const fetched = Promise.withResolvers<void>();
    const telling: Kafka = {
      ...kafka,
      consumer: (options) =>
        kafka.consumer({
          ...options,
          onBatch(batch) {
            fetched.resolve();
            return options.onBatch(batch);
          },
        }),
    };
    await transaction(database.pool, (tx) => createNextTables(tx, projectionTables));
    await database.pool.query(
      "INSERT INTO millrace.projection_rebuilds (consumer_group, request, phase) VALUES ($1, 'r', 'Building')",
      [group],
    );
    await transaction(database.pool, async (tx) => {
      await tx.query('LOCK TABLE millrace.inbox_offsets');
      startRebuilder(telling);
      await fetched.promise;
      await trade(10);
    });
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    assert.ok(await right());
  });

  it('ends where it cannot handle what the version in use has handled, which stays', async () => {
    await trade(6);
    await eventually(right, 'all are projected', withinMs);
    // as if the version in use had been able to read it
    await producer.send(topic, 0, [{ key: 'x', value: Buffer.from('{}'), headers: {} }]);
    await eventually(
      async () => {
        const { rows } = await database.pool.query<{ n: number }>(
          'SELECT count(*)::int AS n FROM millrace.dead_letters',
        );
        return rows[0]!.n === 1;
      },
      'the live version has passed it',
      withinMs,
    );
    await request('dead letters are left out');
    startRebuilder();
    await eventually(async () => (await rebuild()).phase === 'Switched', 'it is in use', withinMs);
    await database.pool.query('DELETE FROM millrace.dead_letters');
    await request('and others are not');
    await eventually(async () => (await rebuild()).phase === 'Failed', 'it has failed', withinMs);
    assert.match((await rebuild()).error!, /ce_id|event|header/i);
    assert.ok(await right());
  });

  /** Sends a parcel's events, of which the first is refused: it becomes a dead letter, and the second one waits behind it. */
  const sendRefused = async (id: number) => {
    refused.add(`PENDING-${id}`);
    await send(id, { status: 'PENDING' });
    await send(id, { status: 'SHIPPED', previous: 'PENDING' });
  };
  const update = (id: number, change: string) =>
    database.pool.query(`UPDATE millrace.dead_letters SET ${change} WHERE event_id = $1`, [`PENDING-${id}`]);
  const replay = (id: number) => {
    refused.delete(`PENDING-${id}`);
    return update(id, 'replay_requested_at = now()');
  };
  const discard = async (id: number) => {
    await update(id, 'discarded_at = now()');
    await database.pool.query(
      `UPDATE millrace.blocked_keys SET is_released = true
       WHERE key_hash = (SELECT key_hash FROM millrace.dead_letters WHERE event_id = $1)`,
      [`PENDING-${id}`],
    );
  };
  const countOf = async (from: string) =>
    (await database.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${from}`)).rows[0]!.n;
  const haveCount = (from: string, n: number) =>
    eventually(async () => (await countOf(from)) === n, `${n} of ${from}`, withinMs);
  const letters = (where: string) => `millrace.dead_letters WHERE ${where}`;
  const replayed = (...ids: number[]) =>
    haveCount(letters(`replayed_at IS NOT NULL AND key = ANY ('{${ids.join(',')}}')`), 2 * ids.length);
  /** Each status with the sum of what events have added to it. */
  const sums = async () => {
    const { rows } = await database.pool.query<{ status: string; n: number }>(
      'SELECT status, sum(parcels)::int AS n FROM parcel_statistics GROUP BY status ORDER BY status',
    );
    return Object.fromEntries(rows.map(({ status, n }) => [status, n]));
  };

  it('has a dead letter once that is replayed at any moment, and one that is discarded not at all', async () => {
    for (const id of [1, 2, 3, 4, 5]) await sendRefused(id);
    await haveCount(letters('true'), 10);
    await replay(1);
    await replayed(1);
    const query = await database.pool.connect();
    try {
      await query.query('BEGIN');
      await query.query('SELECT FROM parcels'); // a long query: nothing takes the place of its table
      await request();
      startRebuilder();
      const passed = `millrace.inbox_offsets used JOIN millrace.inbox_offsets new USING (topic, partition, next_offset)
        WHERE used.consumer_group = '${group}' AND new.consumer_group <> '${group}'`;
      await haveCount(passed, await countOf(`millrace.inbox_offsets WHERE consumer_group = '${group}'`));
      await Promise.all([replay(2), discard(3)]);
      await replayed(2);
      await haveCount(letters("replayed_at IS NOT NULL AND key = '3'"), 1);
      await send(2, { status: 'DELIVERED', previous: 'SHIPPED' });
      await haveCount("parcels WHERE status = 'DELIVERED'", 1);
      assert.equal((await rebuild()).phase, 'Building');
    } finally {
      await query.query('COMMIT');
      query.release();
    }
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    assert.deepEqual(await sums(), { DELIVERED: 1, PENDING: -1, SHIPPED: 2 });
    await replay(4);
    await replayed(4);
    assert.deepEqual(await sums(), { DELIVERED: 1, PENDING: -1, SHIPPED: 3 });
    const { rows } = await database.pool.query('SELECT id::int, status FROM parcels ORDER BY id');
    assert.deepEqual(
      rows.map(({ id, status }: { id: number; status: string }) => `${id} ${status}`),
      ['1 SHIPPED', '2 DELIVERED', '3 SHIPPED', '4 SHIPPED'],
    );
    assert.equal(await countOf('millrace.projection_skipped'), 0);
  });

  it('reads nothing before the version in use, which decides what is a dead letter', async () => {
    await inbox.stop();
    await database.pool.query('DELETE FROM millrace.inbox_offsets'); // where it was quick to find its place
    await sendRefused(1);
    await send(2, { status: 'PENDING' });
    await request();
    startRebuilder();
    await haveCount("millrace.projection_rebuilds WHERE error LIKE 'the version in use does not read %'", 1);
    inbox = startInbox();
    await eventually(async () => (await rebuild()).phase === 'Switched', 'the new version is in use', withinMs);
    await haveCount(letters('true'), 2);
    await replay(1);
    await replayed(1);
    await eventually(async () => (await countOf('parcels')) === 2, 'both are there', withinMs);
    assert.deepEqual(await sums(), { PENDING: 1, SHIPPED: 1 });
  });

  it('is given up where a migration changes the tables meanwhile', async () => {
    await trade(4);
    await eventually(right, 'all are projected', withinMs);
    await transaction(database.pool, (tx) => createNextTables(tx, projectionTables));
    await database.pool.query('ALTER TABLE parcels ADD COLUMN note text');
    await database.pool.query(
      "INSERT INTO millrace.projection_rebuilds (consumer_group, request, phase) VALUES ($1, 'r', 'Building')",
      [group],
    );
    startRebuilder();
    await eventually(async () => (await rebuild()).phase === 'Failed', 'it has failed', withinMs);
    assert.match((await rebuild()).error!, /a migration has changed the tables/);
    const shape = await transaction(database.pool, (tx) => shapeOf(tx, projectionTables, nextSchema));
    assert.equal(shape, '');
  });
});
