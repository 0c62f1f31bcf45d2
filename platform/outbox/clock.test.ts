import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { Health } from '#platform/health';
import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { OutboxRelay } from './relay.ts';
import { Upkeep } from './upkeep.ts';
import { appendToOutbox, outboxTable } from './write.ts';

const log = createLogger('clock-test', 'silent');
const hourMs = 3_600_000;

describe('an outbox whose service has a wrong clock', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(() => database.drop());

  const append = (topic: string) => {
    const one = { topic, key: '1', eventId: 'e', type: 't', source: '/s', data: '{}' };
    return transaction(database.pool, (tx) => appendToOutbox(tx, [one]));
  };

  it('is published with the time of PostgreSQL, which the brokers take', async (t) => {
    const topic = await uniqueTopic('clock');
    const kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'clock-test', log });
    const right = Date.now;
    t.mock.method(Date, 'now', () => right() + 3 * hourMs); // brokers refuse records that are an hour ahead
    const { pool } = database;
    const relay = new OutboxRelay({ name: 'test', pool, kafka, log, health: new Health() });
    relay.start();
    try {
      await append(topic);
      const ends = async () => [...(await kafka.admin.watermarks(topic)).values()].map(({ high }) => high);
      await eventually(async () => (await ends()).includes(1n), 'the event is published');
      const later = await kafka.admin.offsetsAt(topic, right() + hourMs / 60);
      assert.deepEqual([...later.values()], await ends(), 'no record is ahead');
    } finally {
      await relay.stop();
      await kafka.close();
    }
  });

  it('keeps the slots of the days that PostgreSQL says', async (t) => {
    await append('t');
    await database.pool.query(`UPDATE millrace.outbox_shards SET xid = pg_snapshot_xmax(pg_current_snapshot())`);
    const right = Date.now;
    for (const days of [-2, -1, 1, 2]) {
      t.mock.method(Date, 'now', () => right() + days * 24 * hourMs);
      const upkeep = new Upkeep({ pool: database.pool, log, source: outboxTable });
      await upkeep.run({ database: 'test', isFirst: true, now: 0 });
      t.mock.restoreAll();
      assert.equal((await database.pool.query('SELECT FROM millrace.outbox')).rowCount, 1, `${days} days ahead`);
    }
  });
});
