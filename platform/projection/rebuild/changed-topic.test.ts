import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { rebuildGroup } from '#platform/declarations';
import { loadOffsets } from '#platform/inbox';
import { decode, inboxStand, log, message, partitions } from '#platform/inbox/testing.ts';
import { partitionOf } from '#platform/kafka';
import type { Kafka } from '#platform/kafka';
import { eventually, untilPasses } from '#test/eventually.ts';
import { Rebuilder } from './rebuilder.ts';

describe('a rebuild and its topics', () => {
  let rebuilders: Rebuilder[];
  beforeEach(() => {
    rebuilders = [];
  });
  afterEach(() => Promise.all(rebuilders.map((rebuilder) => rebuilder.stop())));
  const stand = inboxStand(); // its database is dropped after the rebuilders have stopped
  const before = 14;
  const after = 24;
  const key = 'k';
  const partition = partitionOf(key, partitions);

  const start = ({ topics = [stand.topic], kafka = stand.kafka }: { topics?: string[]; kafka?: Kafka } = {}) => {
    const rebuilder = new Rebuilder({
      group: stand.group,
      topics,
      url: stand.database.url,
      kafka,
      decode,
      handle: stand.insert,
      tables: ['effects'],
      log,
      onSwitched: () => undefined,
      pollMs: 100,
    });
    rebuilders.push(rebuilder);
    rebuilder.start();
    return rebuilder;
  };
  /** The topic is another one then, with more events. */
  const recreate = async () => {
    const events = Array.from({ length: after }, (_, n) => message(100 + n, key));
    await stand.recreate(events);
  };
  const request = () =>
    stand.database.pool.query("INSERT INTO millrace.projection_rebuilds (consumer_group, request) VALUES ($1, 'r')", [
      stand.group,
    ]);
  const rebuild = async () => {
    const { rows } = await stand.database.pool.query<{
      version: number;
      phase: string;
      error: string | null;
      lag: string | null;
    }>('SELECT version, phase, error, lag FROM millrace.projection_rebuilds');
    return rows[0]!;
  };
  const reach = (phase: string) =>
    eventually(async () => (await rebuild()).phase === phase, `the rebuild is ${phase}`, 20_000);
  const assertChanged = async () => {
    await reach('Failed');
    assert.match((await rebuild()).error!, /created again, truncated or moved back\. Ask for another rebuild/);
    await assertNothingLeft();
  };
  const assertNothingLeft = async () => {
    const { rows } = await stand.database.pool.query(
      `SELECT to_regnamespace('projection_next') IS NULL AS "isDropped",
         (SELECT count(*)::int FROM millrace.inbox_offsets WHERE consumer_group <> $1) AS offsets`,
      [stand.group],
    );
    assert.deepEqual(rows, [{ isDropped: true, offsets: 0 }]);
  };
  /** The version in use has read all, and stands still. */
  const readAll = async () => {
    await stand.send(Array.from({ length: before }, (_, n) => message(n, key)));
    const { topic, group, database, kafka } = stand;
    const [topicId, ends] = [await kafka.admin.topicId(topic), await kafka.admin.watermarks(topic)];
    const reads = [...ends].map(([at, { high }]) => ({ topic, partition: at, offset: high, topicId }));
    await loadOffsets(database.pool, group, reads);
  };
  const setOffset = (set: string, where: string) =>
    stand.database.pool.query(`UPDATE millrace.inbox_offsets SET ${set} WHERE consumer_group = $1 AND ${where}`, [
      stand.group,
    ]);
  const untilBuilt = async () => {
    await reach('Building');
    const group = rebuildGroup(stand.group, (await rebuild()).version);
    await eventually(async () => {
      const { rows } = await stand.database.pool.query(
        'SELECT FROM millrace.inbox_offsets WHERE consumer_group = $1 AND next_offset = $2',
        [group, before],
      );
      return rows.length === 1;
    }, 'the build has read all');
  };
  /** Keeps the new version from taking the place of that in use. */
  const withLongQuery = async (work: () => Promise<void>) => {
    const query = await stand.database.pool.connect();
    try {
      await query.query('BEGIN');
      await query.query('SELECT FROM effects');
      await work();
    } finally {
      query.release(true); // PostgreSQL may have ended it while it was idle
    }
  };

  it('ends where its topic is created again meanwhile, before the version in use notices', async () => {
    await readAll();
    await request();
    await withLongQuery(async () => {
      start();
      await untilBuilt();
      await recreate();
      await assertChanged();
    });
  });

  it('ends where the version in use reads another topic, though Kafka does not tell of it', async () => {
    await readAll();
    // it has read so much that nothing is switched yet
    await setOffset("next_offset = next_offset + 5000, topic_id = 'other'", `partition = ${partition}`);
    await request();
    start();
    await assertChanged();
  });

  it('ends where the version in use reads again what the build has read', async () => {
    await readAll();
    await setOffset('next_offset = next_offset + 5000', `partition <> ${partition}`);
    await request();
    start();
    await untilBuilt();
    await setOffset('next_offset = 0', `partition = ${partition}`);
    await stand.send([message(before, key)]);
    await assertChanged();
  });

  it('says what it waits for while a topic is missing, and leaves nothing behind when it is cancelled', async () => {
    await readAll();
    await request();
    start({ topics: [stand.topic, `${stand.topic}-missing`] });
    await eventually(async () => /-missing: /.test((await rebuild()).error ?? ''), 'it says so', 20_000);
    assert.equal((await rebuild()).phase, 'Building');
    await stand.database.pool.query("UPDATE millrace.projection_rebuilds SET phase = 'Cancelled', error = 'why'");
    await untilPasses(assertNothingLeft);
    assert.equal((await rebuild()).error, 'why');
  });

  it('counts a partition that loses its leader as it was, names it, and goes on', async () => {
    await readAll();
    await request();
    const { admin } = stand.kafka;
    let isLed = true;
    const kafka = {
      ...stand.kafka,
      admin: {
        ...admin,
        topicId: (topic: string) => admin.topicId(topic),
        async knownWatermarks(topic: string) {
          const known = await admin.knownWatermarks(topic);
          return isLed ? known : new Map([...known, [partition, undefined]]);
        },
      },
    };
    await withLongQuery(async () => {
      start({ kafka });
      await untilBuilt();
      await eventually(async () => (await rebuild()).lag === '0', 'its figures are noted');
      isLed = false;
      await eventually(
        async () => (await rebuild()).error === `partitions have no leader: ${stand.topic}/${partition}`,
      );
      assert.equal((await rebuild()).lag, '0');
    });
    await reach('Switched');
    assert.equal((await rebuild()).error, null);
  });

  it('leaves nothing behind when it is cancelled while nothing works on it', async () => {
    await readAll();
    await request();
    await withLongQuery(async () => {
      const first = start();
      await untilBuilt();
      await first.stop();
    });
    await stand.database.pool.query("UPDATE millrace.projection_rebuilds SET phase = 'Cancelled'");
    start();
    await untilPasses(assertNothingLeft);
  });
});
