import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { PoolClient } from 'pg';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { createLogger } from '#platform/telemetry';
import { TopicPartitions } from './topic-partitions.ts';

describe('the partitions of a topic', () => {
  const log = createLogger('topics-test', 'silent');
  let database: TestDatabase;
  let session: PoolClient;
  let topics: TopicPartitions;
  beforeEach(async () => {
    database = await createTestDatabase();
    session = await database.pool.connect();
    topics = new TopicPartitions(log);
  });
  afterEach(async () => {
    session.release();
    await database.drop();
  });

  it('remain those of its first event, for each relay, and one line says what to do', async () => {
    assert.equal(await topics.of(session, 'orders', 6), 6);
    const warn = mock.method(log, 'warn');
    for (let i = 0; i < 3; i++) assert.equal(await topics.of(session, 'orders', 10), 6);
    assert.equal(warn.mock.callCount(), 1);
    const [{ topic, partitions, present }] = warn.mock.calls[0]!.arguments as unknown as [Record<string, unknown>];
    assert.deepEqual([topic, partitions, present], ['orders', 6, 10]);
    const other = new TopicPartitions(log);
    assert.equal(await other.of(session, 'orders', 10), 6, 'a relay that has not asked yet');
    await other.follow(session);
    assert.equal(await other.of(session, 'orders', 10), 6);
  });

  it('are the fewer ones that two relays see at first', async () => {
    await new TopicPartitions(log).of(session, 'orders', 10);
    assert.equal(await topics.of(session, 'orders', 6), 6);
  });

  it('become fewer when the topic has had fewer for a minute: it is another one', async () => {
    await topics.of(session, 'orders', 6, 0);
    await assert.rejects(topics.of(session, 'orders', 3, 1_000), { code: 'ERR_OUTBOX_HELD' });
    assert.equal(await topics.of(session, 'orders', 6, 2_000), 6, 'what a producer knew was old');
    await assert.rejects(topics.of(session, 'orders', 3, 61_500), { code: 'ERR_OUTBOX_HELD' });
    assert.equal(await topics.of(session, 'orders', 3, 121_500), 3);
  });

  it('are not known while its events wait', async () => {
    await topics.of(session, 'orders', 6);
    await topics.of(session, 'users', 6);
    const hold = `UPDATE millrace.outbox_topics SET held_until = clock_timestamp() + $1::interval WHERE topic = 'orders'`;
    await session.query(hold, ['1 minute']);
    await topics.follow(session);
    await assert.rejects(topics.of(session, 'orders', 6), { code: 'ERR_OUTBOX_HELD' });
    assert.equal(await topics.of(session, 'users', 6), 6);
    await session.query(hold, ['-1 s']);
    await topics.follow(session);
    assert.equal(await topics.of(session, 'orders', 6), 6);
  });
});
