import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { transaction } from '#platform/postgres';
import type { PoolClient } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { hashOf } from './key-order.ts';
import { replayBatch } from './replay-batch.ts';
import { DeadLetterReplay } from './replay.ts';
import { accumulatorOf, batchOf, decode, inboxStand, itemAt, log, message, numberOf, writerOf } from './testing.ts';
import type { Writer } from './writer.ts';

interface Letter {
  n: number;
  state: string;
  reason: string;
  attempts: number;
}

async function lettersOf({ pool }: TestDatabase): Promise<Letter[]> {
  const { rows } = await pool.query<{ value: Buffer; state: string; reason: string; attempts: number }>(
    `SELECT value, reason, attempts, CASE WHEN replayed_at IS NOT NULL THEN 'REPLAYED' WHEN discarded_at IS NOT NULL THEN 'DISCARDED'
       WHEN is_waiting THEN 'WAITING' ELSE 'OPEN' END AS state FROM millrace.dead_letters ORDER BY "offset"`,
  );
  return rows.map(({ value, ...row }) => ({ n: (JSON.parse(String(value)) as { n: number }).n, ...row }));
}
const statesOf = async (database: TestDatabase) =>
  (await lettersOf(database)).map(({ n, state }) => `${n} ${state}`).join(', ');
const requestAll = ({ pool }: TestDatabase) =>
  pool.query(
    `UPDATE millrace.dead_letters SET replay_requested_at = now(), replay_error = NULL
     WHERE NOT is_waiting AND replayed_at IS NULL AND discarded_at IS NULL`,
  );

const never = () => Number.NEGATIVE_INFINITY;

describe('an inbox with a dead letter', () => {
  const stand = inboxStand();
  const { send, insert, start, effects, reach } = stand;
  const numbersOf = async (key: string) => (await effects()).filter((row) => row.key === key).map((row) => row.n);

  it('lets the later messages of its key wait, over a restart, and releases them in order', async () => {
    const bad = new Set([1, 4]);
    const handle = async (tx: PoolClient, events: ReceivedEvent[]) => {
      await insert(tx, events);
      const poison = events.find((event) => bad.has(numberOf(event)));
      if (poison) throw new RangeError(`${numberOf(poison)} is too many`);
    };
    const first = start({ handle });
    await send([message(0, 'a'), message(1, 'a'), message(2, 'a'), message(100, 'b'), message(3, 'a')]);
    await eventually(
      async () => (await statesOf(stand.database)) === '1 OPEN, 2 WAITING, 3 WAITING',
      undefined,
      30_000,
    );
    await first.inbox.stop();
    start({ handle });
    await send([message(4, 'a'), message(5, 'a'), message(101, 'b')]);
    await reach(3);
    await eventually(async () => (await lettersOf(stand.database)).length === 5, 'all of the key wait', 30_000);
    assert.deepEqual(await numbersOf('a'), [0]);
    assert.deepEqual(await numbersOf('b'), [100, 101]);
    const { rows: sent } = await stand.database.pool.query('SELECT FROM millrace.outbox');
    assert.equal(sent.length, 1, 'those that wait are not in the topic of dead letters');

    bad.delete(1);
    await requestAll(stand.database);
    const after1 = '1 REPLAYED, 2 REPLAYED, 3 REPLAYED, 4 OPEN, 5 WAITING';
    await eventually(async () => (await statesOf(stand.database)) === after1, 'up to the next that fails', 30_000);
    const [four] = (await lettersOf(stand.database)).filter(({ n }) => n === 4);
    assert.deepEqual([four!.reason, four!.attempts], ['RangeError: 4 is too many', 1]);
    await send([message(6, 'a')]);
    await eventually(async () => (await lettersOf(stand.database)).length === 6, 'the next one waits', 30_000);

    await stand.database.pool.query(
      `WITH head AS (UPDATE millrace.dead_letters SET discarded_at = now() WHERE NOT is_waiting AND replayed_at IS NULL RETURNING *)
       UPDATE millrace.blocked_keys b SET is_released = true FROM head h WHERE b.key_hash = h.key_hash`,
    );
    await eventually(async () => (await numbersOf('a')).length === 6, 'a discard releases the rest', 30_000);
    await send([message(7, 'a')]);
    await eventually(async () => (await numbersOf('a')).length === 7, 'the key goes on', 30_000);
    assert.deepEqual(await numbersOf('a'), [0, 1, 2, 3, 5, 6, 7]);
    assert.equal((await stand.database.pool.query('SELECT FROM millrace.blocked_keys')).rowCount, 0);
  });

  it('lets nothing wait behind a message without a key, or where effects have no order', async () => {
    await send([{ ...message(1, 'a'), value: Buffer.from('{') }, message(2, 'a')]);
    start({ accumulator: accumulatorOf(() => Promise.reject(new RangeError('no'))) });
    await reach(1);
    assert.deepEqual(await numbersOf('a'), [2]);
  });
});

describe('the order of keys', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase();
    await database.pool.query(
      'CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL, key text)',
    );
  });
  after(() => database.drop());
  const group = 'g';
  const topic = 't';
  let bad: Set<number>;
  beforeEach(async () => {
    bad = new Set();
    await database.pool.query('TRUNCATE effects, millrace.dead_letters, millrace.blocked_keys, millrace.inbox_offsets');
    await database.pool.query(
      `INSERT INTO millrace.inbox_offsets VALUES ('${group}', '${topic}', 0, 0), ('${group}', '${topic}', 1, 0)`,
    );
  });

  async function handle(tx: PoolClient, events: ReceivedEvent[]): Promise<void> {
    for (const event of events) {
      await tx.query('INSERT INTO effects (n, key) VALUES ($1, $2)', [numberOf(event), event.key]);
      if (bad.has(numberOf(event))) throw new RangeError(`${numberOf(event)} is bad`);
    }
  }
  const replayer = () => new DeadLetterReplay({ group, pool: database.pool, log, decode, handle, lastCommitAt: never });
  const writer = () => writerOf({ group, pool: database.pool, handle });
  /** As the inbox does; a message that is bad is given up at once. The numbers of partition 1 begin with 100. */
  function write(to: Writer, from: number, keys: readonly string[], partition = 0): Promise<boolean> {
    const items = keys.map((key, i) => {
      const n = partition * 100 + from + i;
      const item = itemAt({ topic, partition, offset: BigInt(from + i) }, group, n, key);
      if (bad.has(n)) item.failure = { reason: 'bad', attempts: 1 };
      return item;
    });
    return to.write(batchOf(items), new AbortController().signal);
  }
  async function assertInOrder(count: number): Promise<void> {
    const { rows } = await database.pool.query<{ n: number; key: string }>('SELECT n, key FROM effects ORDER BY id');
    assert.deepEqual(
      rows.map(({ n }) => n).toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, n) => n),
      'each message once',
    );
    for (const [key, own] of Map.groupBy(rows, (row) => row.key)) {
      const numbers = own.map(({ n }) => n);
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
        `the order of ${key}`,
      );
    }
    assert.equal((await database.pool.query('SELECT FROM millrace.blocked_keys')).rowCount, 0);
  }

  it('holds while processes replay at the same time as the owner of the partition writes', async () => {
    const step = fc.record({
      keys: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 6 }),
      bad: fc.array(fc.nat(5), { maxLength: 2 }),
      mends: fc.boolean(),
      takesOver: fc.boolean(),
    });
    await fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
          let next = 0;
          let owner = writer();
          const replayers = [replayer(), replayer()];
          for (const { keys, bad: badOnes, mends, takesOver } of steps) {
            if (takesOver) owner = writer();
            for (const i of badOnes) if (i < keys.length) bad.add(next + i);
            const writing = write(owner, next, keys);
            if (mends) bad.clear();
            await requestAll(database);
            const [isWritten] = await Promise.all([writing, ...replayers.map((one) => one.replayNext())]);
            assert.ok(isWritten);
            next += keys.length;
          }
          bad.clear();
          await requestAll(database);
          while (await replayers[0]!.replayNext());
          await assertInOrder(next);
        })
        .beforeEach(async () => {
          bad.clear();
          await database.pool.query('TRUNCATE effects, millrace.dead_letters, millrace.blocked_keys');
          await database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 0');
        }),
      { numRuns: 60 },
    );
  });

  it('holds between members, where a key goes on in a partition of another one', async () => {
    const [one, other] = [writer(), writer()];
    await write(other, 0, ['b'], 1); // sees that no message waits
    bad.add(0);
    await write(one, 0, ['a']);
    await write(other, 1, ['a', 'b'], 1);
    bad.clear();
    await requestAll(database);
    assert.equal(await replayer().replayNext(), true);
    const { rows } = await database.pool.query<{ n: number }>('SELECT n FROM effects ORDER BY id');
    assert.deepEqual(
      rows.map(({ n }) => n),
      [100, 102, 0, 101],
    );
  });

  it('lets the writer wait for a replay that releases the key, and then handles its message', async () => {
    bad.add(0);
    const owner = writer();
    await write(owner, 0, ['a', 'a', 'a']);
    bad.clear();
    await requestAll(database);
    const inside = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const replay = new DeadLetterReplay({
      group,
      pool: database.pool,
      log,
      decode,
      lastCommitAt: never,
      handle: async (tx, events) => {
        await handle(tx, events);
        inside.resolve();
        await go.promise;
      },
    });
    const replaying = replay.replayNext();
    await inside.promise;
    const writing = write(owner, 3, ['a']);
    await eventually(async () => {
      const { rows } = await database.pool.query(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return rows.length === 1;
    }, 'the writer waits');
    go.resolve();
    await Promise.all([replaying, writing]);
    await assertInOrder(4);
  });

  it('is kept behind one that the database never ends, and this one holds up no other key', async () => {
    bad = new Set([0, 1, 2, 3]);
    await write(writer(), 0, ['a', 'slow', 'slow', 'b']);
    bad.clear();
    await requestAll(database);
    let lastCommitAt = Number.NEGATIVE_INFINITY;
    const replay = new DeadLetterReplay({
      group,
      pool: database.pool,
      log,
      decode,
      lastCommitAt: () => lastCommitAt,
      handle: async (tx, events) => {
        if (events.some((event) => numberOf(event) === 1))
          await tx.query(`SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(10)`);
        await handle(tx, events);
      },
    });
    const replayed = async () => !(await replay.replayNext().catch(() => true));
    for (let i = 0; i < 12; i += 1) assert.equal(await replayed(), false, 'it may be the database, and waits');
    assert.throws(() => replay.check(), /the dead letters of g are not replayed: .*statement timeout/);
    lastCommitAt = performance.now();
    for (let i = 0; i < 4; i += 1) assert.equal(await replayed(), false, 'it may be the last of an outage, and waits');
    assert.throws(() => replay.check(), /statement timeout/);
    lastCommitAt = performance.now();
    await eventually(replayed, 'nothing is left that is asked for');
    replay.check();
    const { rows: effects } = await database.pool.query<{ n: number }>('SELECT n FROM effects ORDER BY n');
    assert.deepEqual(
      effects.map(({ n }) => n),
      [0, 3],
    );
    const { rows: left } = await database.pool.query<{ offset: string; replay_error: string | null }>(
      'SELECT "offset", replay_error FROM millrace.dead_letters WHERE replayed_at IS NULL ORDER BY "offset"',
    );
    assert.deepEqual(
      left.map(({ offset, replay_error: error }) => [offset, error !== null && /statement timeout/.test(error)]),
      [
        ['1', true],
        ['2', false],
      ],
    );
  });

  it('is kept where the row of the dead letter was deleted', async () => {
    bad.add(1);
    const owner = writer();
    await write(owner, 0, ['a', 'a', 'a', 'a']);
    await database.pool.query('DELETE FROM millrace.dead_letters WHERE NOT is_waiting');
    bad.clear();
    const one = replayer();
    assert.equal(await one.replayNext(), false);
    one.start();
    await eventually(async () => (await database.pool.query('SELECT FROM effects')).rowCount === 3, 'the others');
    await one.stop();
    const { rows } = await database.pool.query<{ n: number }>('SELECT n FROM effects ORDER BY id');
    assert.deepEqual(
      rows.map(({ n }) => n),
      [0, 2, 3],
    );
  });

  it('does not keep the replays of other keys waiting while a session holds one', async () => {
    for (const n of [0, 1, 2]) bad.add(n);
    await write(writer(), 0, ['a', 'b', 'c', 'a']);
    bad.clear();
    await requestAll(database);
    const session = await database.pool.connect();
    try {
      await session.query('BEGIN');
      await session.query('SELECT FROM millrace.blocked_keys WHERE key_hash = $1 FOR SHARE', [
        hashOf(Buffer.from('a')),
      ]);
      const attempt = { limit: 1, isLast: false };
      await transaction(database.pool, (tx) => replayBatch(tx, { group, decode, handle }, attempt));
      assert.equal(await statesOf(database), '0 OPEN, 1 REPLAYED, 2 OPEN, 3 WAITING');
      assert.equal(await replayer().replayNext(), true);
      await assert.rejects(replayer().replayNext(), { code: '55P03' }, 'what is held counts as a failure');
      assert.equal(await statesOf(database), '0 OPEN, 1 REPLAYED, 2 REPLAYED, 3 WAITING');
    } finally {
      session.release(true); // its session ends, and with it the transaction
    }
    assert.equal(await replayer().replayNext(), true, 'that one goes on');
    await assertInOrder(4);
  });

  it('is kept where more messages wait than one transaction handles', async () => {
    bad.add(0);
    const owner = writer();
    await write(
      owner,
      0,
      Array.from({ length: 1_200 }, () => 'a'),
    );
    bad.clear();
    await requestAll(database);
    const one = replayer();
    await one.replayNext();
    await write(owner, 1_200, ['a', 'b', 'a']);
    while (await one.replayNext());
    await write(owner, 1_203, ['a']);
    await assertInOrder(1_204);
  });

  it('is kept, with each effect once, where the connection of a replay is killed', async () => {
    bad.add(0);
    await write(writer(), 0, ['a', 'a', 'b', 'a']);
    bad.clear();
    await requestAll(database);
    let kills = 1;
    const one = new DeadLetterReplay({
      group,
      pool: database.pool,
      log,
      decode,
      lastCommitAt: never,
      handle: async (tx, events) => {
        await handle(tx, events);
        tx.on('error', () => undefined);
        if (kills-- > 0) await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
      },
    });
    await assert.rejects(one.replayNext());
    await replayer().replayNext();
    await assertInOrder(4);
  });

  it('is kept for thousands that are replayed by two processes, each with its effect once', async () => {
    const count = 4_000;
    await database.pool.query(
      `INSERT INTO millrace.dead_letters (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts)
       SELECT '${group}', '${topic}', 0, n, n % 500, convert_to('{"n":' || n || '}', 'UTF8'),
         jsonb_build_object('ce_id', n::text, 'ce_type', 'test.happened', 'ce_source', '/test', 'ce_specversion', '1.0', 'ce_time', '2026-01-01T00:00:00Z'),
         now(), 'bad', 5 FROM generate_series(0, ${count - 1}) n`,
    );
    await requestAll(database);
    const inOne = async (tx: PoolClient, events: ReceivedEvent[]) => {
      if (events.some((event) => numberOf(event) === 1_234)) throw new RangeError('bad');
      await tx.query('INSERT INTO effects (n) SELECT * FROM unnest($1::int[])', [events.map(numberOf)]);
    };
    const run = async () => {
      const one = new DeadLetterReplay({ group, pool: database.pool, log, decode, handle: inOne, lastCommitAt: never });
      while (await one.replayNext());
    };
    await Promise.all([run(), run()]);
    const { rows } = await database.pool.query(
      'SELECT count(*)::int AS all, count(DISTINCT n)::int AS each FROM effects WHERE n <> 1234',
    );
    assert.deepEqual(rows, [{ all: count - 1, each: count - 1 }]);
    const { rows: failed } = await database.pool.query(
      'SELECT "offset", replay_error FROM millrace.dead_letters WHERE replayed_at IS NULL',
    );
    assert.deepEqual(failed, [{ offset: '1234', replay_error: 'RangeError: bad' }]);
  });
});
