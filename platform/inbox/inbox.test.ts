import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import type { Kafka } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { Unavailable } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import { decideOffsets } from './decide.ts';
import { inboxStand } from './testing.ts';

describe('Inbox', () => {
  const stand = inboxStand();
  const { sendRange, insert, start, effects, storedOffsets, reach, assertOnceInOrder, isReady } = stand;

  it('processes what was sent before it started and after, with the offsets beside the effects', async () => {
    await sendRange(0, 100);
    const { health } = start();
    await reach(100);
    await sendRange(100, 200);
    await reach(200);
    await assertOnceInOrder(200);
    assert.equal(await storedOffsets(), 200);
    assert.ok(await isReady(health));
    const hinted = async () =>
      (await stand.kafka.admin.committed(stand.group, [stand.topic])).reduce((sum, at) => sum + at.offset, 0n);
    await eventually(async () => (await hinted()) === 200n, 'Kafka knows the offsets');
  });

  it('moves the offsets only with the effects', async () => {
    let failures = 0;
    let isAway = true;
    await sendRange(0, 40);
    start({
      async handle(tx, events) {
        await insert(tx, events);
        if (!isAway) return;
        failures += 1;
        throw new Unavailable('the database is away');
      },
    });
    await eventually(() => failures > 0, 'a failure');
    assert.equal(await storedOffsets(), 0);
    isAway = false;
    await reach(40);
    await assertOnceInOrder(40);
  });

  it('is exactly once while members come and go in mid-stream', async () => {
    const slowly = (member: string) => async (tx: PoolClient, events: ReceivedEvent[]) => {
      await insert(tx, events, member);
      await tx.query('SELECT pg_sleep(0.02)');
    };
    const works = (member: string) =>
      eventually(async () => (await effects()).some((row) => row.member === member), `${member} works`, 30_000);
    let total = 0;
    const flow = new AbortController();
    const sending = (async () => {
      while (!flow.signal.aborted) {
        await sendRange(total, total + 50);
        total += 50;
        await eventually(async () => (await effects()).length > total - 500, 'the consumers keep up', 30_000);
      }
    })();
    const options = { maxBatch: 50 };
    const first = start({ ...options, handle: slowly('a') });
    await works('a');
    start({ ...options, handle: slowly('b') });
    await works('b');
    await first.inbox.stop();
    start({ ...options, handle: slowly('c') });
    await works('c');
    flow.abort();
    await sending;
    await reach(total);
    await assertOnceInOrder(total);
  });

  it('leaves no double effects where two consumers that do not know of each other have the same partitions', async () => {
    const total = 1_000;
    const one = {
      ...stand.kafka,
      consumer: (options: Parameters<Kafka['consumer']>[0]) => stand.kafka.consumer(options),
    };
    // another Kafka group name, but the same rows: as a member that has lost its partitions without noticing
    const other: Kafka = {
      ...stand.kafka,
      consumer: (options) => stand.kafka.consumer({ ...options, group: `${options.group}-zombie` }),
    };
    start({ kafka: one, maxBatch: 20, handle: (tx, events) => insert(tx, events, 'owner') });
    start({ kafka: other, maxBatch: 20, handle: (tx, events) => insert(tx, events, 'zombie') });
    for (let n = 0; n < total; n += 50) await sendRange(n, n + 50);
    await reach(total);
    await assertOnceInOrder(total);
  });

  it('begins with the first event in a new database, whatever Kafka remembers of the group', async () => {
    await sendRange(0, 50);
    const first = start();
    await reach(50);
    await first.inbox.stop();
    await stand.database.pool.query('TRUNCATE effects, millrace.inbox_offsets');
    start();
    await reach(50);
    await assertOnceInOrder(50);
  });

  it('refuses a partition that ends before the stored offset, says so, and reads it once that is decided', async () => {
    await sendRange(0, 50);
    await stand.database.pool.query(
      `INSERT INTO millrace.inbox_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, 0, 9999)`,
      [stand.group, stand.topic],
    );
    const { health } = start();
    const error = await eventually(async () => {
      const { checks } = await health.report();
      return Object.values(checks).find(({ reason }) => reason?.includes('ends at'))?.reason;
    }, 'a reason');
    assert.match(error, /\/0 is not read: it ends at \d+, and .* has read up to 9999: .* npm run offsets -- restart /);
    const { database, kafka, group, topic } = stand;
    await decideOffsets({ pool: database.pool, admin: kafka.admin }, { group, topic, decision: 'restart' });
    await reach(50);
    await assertOnceInOrder(50);
    assert.ok(await isReady(health));
  });
});
