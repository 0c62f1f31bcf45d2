// A broker that is lost with its partitions: what has a leader goes on, and the rest follows when the broker is back.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { createDecoder, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka, partitionOf, type Kafka } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import { createLogger, registry } from '#platform/telemetry';
import { createTestDatabase, type TestDatabase } from '#test/database.ts';
import { eventually, untilPasses } from '#test/eventually.ts';
import { noOwnBroker } from '#test/own-broker.ts';
import { allowSeconds } from '#test/time-limit.ts';
import { startTwoBrokers, type TwoBrokers } from '#test/two-brokers.ts';

allowSeconds(300); // it starts two brokers of its own, and waits until one is given up

const log = createLogger('leaderless-test', 'silent');
const partitions = 4;
const topics = ['orders', 'users'];
const withinMs = 60_000;

describe('partitions without a leader', { skip: noOwnBroker ?? false }, () => {
  let servers: TwoBrokers;
  let kafka: Kafka;
  let database: TestDatabase;
  before(async () => {
    servers = await startTwoBrokers();
    kafka = createKafka({ brokers: servers.brokers, clientId: 'leaderless', log });
    database = await createTestDatabase();
    await database.pool.query('CREATE TABLE effects (reader text, event_id text)');
    await kafka.admin.ensureTopics(topics.map((name) => ({ name, partitions, retentionMs: -1 })));
  });
  after(async () => {
    await kafka.close();
    await database.drop();
    await servers.stop();
  });

  /** Where the events of a key are, as far as this test counts them. */
  const placeOf = (topic: string, key: string) => `${topic}/${partitionOf(key, partitions)}`;
  const written: { topic: string; key: string; id: string }[] = [];
  const append = async (count: number) => {
    const events = Array.from({ length: count }, (_, i) => {
      const n = written.length + i;
      return { topic: topics[n % 2]!, key: String(n % 20), id: `event-${n}` };
    });
    await database.pool.query(
      `INSERT INTO millrace.outbox (topic, key, event_id, type, source, data)
       SELECT e->>'topic', e->>'key', e->>'id', 't', '/s', '{}' FROM jsonb_array_elements($1) AS e`,
      [JSON.stringify(events)],
    );
    written.push(...events);
  };
  const startInbox = (group: string) => {
    const health = new Health();
    const inbox = new Inbox({
      group,
      topics,
      pool: database.pool,
      kafka,
      log,
      health,
      decode: createDecoder(readJson),
      stuckMs: 9_000, // a third of it for each answer of Kafka, on a machine that is busy
      handle: async (tx, events) => {
        await tx.query('INSERT INTO effects SELECT $1, unnest($2::text[])', [group, events.map(({ id }) => id)]);
      },
    });
    inbox.start();
    return { inbox, reason: async () => (await health.report()).checks[`inbox ${group}`]!.reason ?? '' };
  };
  const effectsOf = async (group: string) => {
    const { rows } = await database.pool.query<{ event_id: string }>('SELECT event_id FROM effects WHERE reader = $1', [
      group,
    ]);
    return rows.map(({ event_id }) => event_id);
  };
  const untilRead = (group: string, events: readonly { id: string }[]) =>
    untilPasses(async () => {
      const read = new Set(await effectsOf(group));
      assert.equal(events.filter(({ id }) => !read.has(id)).length, 0, `events that ${group} has not read`);
    }, withinMs);

  it('hold up no others, are named by health, and get their events when they have one again', async () => {
    const relay = new OutboxRelay({ name: 'leaderless', pool: database.pool, kafka, log, health: new Health() });
    const old = startInbox('old');
    const stops = [() => old.inbox.stop(), () => relay.stop()];
    try {
      relay.start();
      await append(100);
      await untilRead('old', written);

      await servers.killSecond();
      const lost = await untilPasses(async () => {
        const marks = await Promise.all(topics.map((topic) => kafka.admin.knownWatermarks(topic)));
        const places = marks.flatMap((all, i) =>
          [...all].filter(([, known]) => !known).map(([partition]) => `${topics[i]}/${partition}`),
        );
        assert.ok(places.length > 0, 'each partition has a leader');
        return places;
      }, withinMs);
      assert.ok(lost.length < topics.length * partitions, 'the first broker has partitions, too');
      await assert.rejects(kafka.admin.watermarks(lost[0]!.split('/')[0]!), { code: 'ERR_KAFKA_NO_LEADER' });

      const fresh = startInbox('fresh');
      stops.push(() => fresh.inbox.stop());
      const firstNew = written.length;
      await append(200);
      const isLed = ({ topic, key }: { topic: string; key: string }) => !lost.includes(placeOf(topic, key));
      await untilRead('old', written.slice(firstNew).filter(isLed));
      await untilRead('fresh', written.filter(isLed));
      const early = new Set(await effectsOf('fresh'));
      assert.equal(
        written.filter((event) => !isLed(event)).some(({ id }) => early.has(id)),
        false,
      );
      for (const reader of [old, fresh])
        await eventually(async () => /ha(s|ve) no leader/.test(await reader.reason()), 'health says so', withinMs);

      const metrics = await registry.metrics();
      for (const place of lost) {
        const [topic, partition] = place.split('/');
        assert.doesNotMatch(
          metrics,
          new RegExp(`^millrace_inbox_lag\\{[^}]*topic="${topic}",partition="${partition}"`, 'm'),
          'the lag of a partition without a leader is not known',
        );
      }

      await servers.startSecond();
      await untilRead('old', written);
      await untilRead('fresh', written);
      for (const reader of [old, fresh])
        await untilPasses(async () => assert.equal(await reader.reason(), ''), withinMs);
      for (const group of ['old', 'fresh'])
        assert.deepEqual(
          (await effectsOf(group)).toSorted(),
          written.map(({ id }) => id).toSorted(),
          `${group} has each event's effect once`,
        );
    } finally {
      await Promise.all(stops.map((stop) => stop()));
    }
  });
});
