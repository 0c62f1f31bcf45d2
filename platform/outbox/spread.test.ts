import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { Health } from '#platform/health';
import { inboxStand, log, partitions } from '#platform/inbox/testing.ts';
import { transaction } from '#platform/postgres';
import { OutboxRelay } from './relay.ts';
import { spreadTopic } from './spread.ts';
import { appendToOutbox } from './write.ts';
import { administer } from '#platform/kafka/testing/administer.ts';

const keys = 30;
const more = 6;

describe('a topic that gets partitions', () => {
  let relays: OutboxRelay[];
  let written: number;
  let stop: AbortController;
  let writing: Promise<void>;
  // before the stand takes the database away
  afterEach(async () => {
    stop.abort();
    await writing;
    await Promise.all(relays.map((relay) => relay.stop()));
  });
  const stand = inboxStand();

  const startRelay = (): OutboxRelay => {
    const relay = new OutboxRelay({
      name: 'test',
      pool: stand.database.pool,
      kafka: stand.kafka,
      log,
      health: new Health(),
    });
    relays.push(relay);
    relay.start();
    return relay;
  };
  const write = async (): Promise<void> => {
    const events = Array.from({ length: keys }, (_, key) => ({
      topic: stand.topic,
      key: String(key),
      eventId: `event-${written}-${key}`,
      type: 'test.happened',
      source: '/test',
      data: JSON.stringify({ n: written }),
    }));
    await transaction(stand.database.pool, (tx) => appendToOutbox(tx, events));
    written += 1;
  };
  const addPartitions = () =>
    administer((admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: stand.topic, count: partitions + more }] }),
    );
  /** How many records the partitions have that the topic did not have at first. */
  const inNewPartitions = async (): Promise<number> => {
    const watermarks = await stand.kafka.admin.watermarks(stand.topic);
    return [...watermarks].reduce((sum, [p, { high }]) => sum + (p < partitions ? 0 : Number(high)), 0);
  };
  const spread = (options: Partial<Parameters<typeof spreadTopic>[1]> = {}) =>
    spreadTopic(
      { pool: stand.database.pool, admin: stand.kafka.admin },
      { topic: stand.topic, groups: [stand.group], ignored: [], withinMs: 30_000, ...options },
    );
  const used = async () => {
    const { rows } = await stand.database.pool.query('SELECT partitions, held_until FROM millrace.outbox_topics');
    return rows;
  };

  beforeEach(() => {
    relays = [];
    written = 0;
    stop = new AbortController();
    const { signal } = stop;
    writing = (async () => {
      while (!signal.aborted) {
        await write();
        await sleep(20);
      }
    })();
  });
  it('keeps the order of its keys, under load, when its relay is killed, and when its events are spread anew', async () => {
    stand.start();
    startRelay();
    await stand.reach(keys);
    await addPartitions();
    const since = written;
    await eventually(() => written > since + 5, 'events after that');
    await stand.database.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%outbox_shards%'
       AND pid <> pg_backend_pid()`,
    );
    await relays[0]!.stop();
    startRelay();
    await stand.reach(keys * (written + 5));
    assert.equal(await inNewPartitions(), 0);
    assert.deepEqual(await spread(), { from: partitions, to: partitions + more });
    await eventually(async () => (await inNewPartitions()) > keys, 'events in the new partitions', 30_000);
    stop.abort();
    await writing;
    const all = async () => new Set((await stand.effects()).map(({ n, key }) => `${key} ${n}`)).size === keys * written;
    await eventually(all, 'all effects', 30_000);
    for (const [key, rows] of Map.groupBy(await stand.effects(), (row) => row.key)) {
      const first = [...new Set(rows.map(({ n }) => n))];
      assert.deepEqual(
        first,
        Array.from({ length: written }, (_, n) => n),
        `the order of key ${key}`,
      );
    }
  });

  it('goes on as before while a group has not read everything, and where a group is not known', async () => {
    const { inbox } = stand.start();
    startRelay();
    await stand.reach(keys);
    await inbox.stop();
    await addPartitions();
    const late = { code: 'ERR_OUTBOX_NOT_SPREAD', message: new RegExp(`${stand.group} has not read all of`) };
    await assert.rejects(spread({ withinMs: 3_000 }), late);
    assert.deepEqual(await used(), [{ partitions, held_until: null }]);
    await assert.rejects(spread({ groups: ['unheard-of'] }), /Kafka shows no group unheard-of/);
    assert.deepEqual(await spread({ ignored: [stand.group] }), { from: partitions, to: partitions + more });
  });
});
