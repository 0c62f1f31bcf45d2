import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import type { PoolClient } from '#platform/postgres';
import { Unavailable } from '#platform/postgres';
import { registry } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import { eventually } from '#test/eventually.ts';
import { batchOf, itemAt, numberOf, writerOf } from './testing.ts';
import type { Handle, WriterOptions } from './writer.ts';

const [group, topic] = ['g', 't'];

/** A writer of two partitions, whose handler lets go all that a test does not refuse. */
async function standOf(t: TestContext, handle: Handle, onRefused: WriterOptions['onRefused'] = () => assert.fail()) {
  const database = await createTestDatabase();
  t.after(() => database.drop());
  const { pool } = database;
  await pool.query(`INSERT INTO millrace.inbox_offsets VALUES ('g', 't', 0, 0), ('g', 't', 1, 0)`);
  const writer = writerOf({ group, pool, handle, onRefused });
  const assignment = new AbortController();
  t.after(() => assignment.abort());
  /** Writes the first events of a partition, with these numbers. */
  const write = (partition: number, numbers: readonly number[]) => {
    const items = numbers.map((n, i) => itemAt({ topic, partition, offset: BigInt(i) }, group, n));
    return writer.write(batchOf(items), assignment.signal);
  };
  return { pool, writer, write };
}

const refuse = (tx: PoolClient, reason = 'no') =>
  tx.query(`DO $$ BEGIN RAISE EXCEPTION '${reason}' USING ERRCODE = 'MR001'; END $$`);

it(
  'gives up a message that fails by itself, also while the database refuses the events of another partition',
  { timeout: 20_000 },
  async (t) => {
    let isRefusing = true;
    const refused: { partition: number; done: Promise<void> }[] = [];
    const { pool, write } = await standOf(
      t,
      async (tx, events) => {
        if (isRefusing && events.some(({ partition }) => partition === 1)) await refuse(tx);
        for (const event of events) await tx.query('SELECT 1 / $1::int', [numberOf(event)]);
      },
      ({ partition }, _reason, done) => done && refused.push({ partition, done }),
    );
    assert.deepEqual(await Promise.all([write(0, [0, 1]), write(1, [2])]), [true, false]);
    assert.deepEqual(
      refused.map(({ partition }) => partition),
      [1],
    );
    const lettersSql = 'SELECT partition, "offset"::int AS at, error_code AS code FROM millrace.dead_letters';
    assert.deepEqual((await pool.query(lettersSql)).rows, [{ partition: 0, at: 0, code: '22012' }]);
    isRefusing = false;
    await refused[0]!.done;
    const { rows } = await pool.query('SELECT next_offset::int AS next FROM millrace.inbox_offsets ORDER BY partition');
    assert.deepEqual(rows, [{ next: 2 }, { next: 1 }]);
  },
);

it(
  'lets a slow batch go on with the others, and one that waits for a lock wait briefly each time',
  { timeout: 20_000 },
  async (t) => {
    const waits: unknown[] = [];
    const done: Promise<void>[] = [];
    const { pool, write } = await standOf(
      t,
      async (tx, events) => {
        if (events.length > 1) await refuse(tx);
        if (events[0]!.partition === 0) await tx.query('SELECT pg_sleep(1.2)');
        else
          await tx.query('SELECT FROM slots FOR UPDATE').catch((error: unknown) => {
            waits.push((error as { code?: unknown }).code);
            throw error;
          });
      },
      (_partition, _reason, end) => end && done.push(end),
    );
    await pool.query('CREATE TABLE slots AS SELECT 1 AS n');
    const session = await pool.connect();
    try {
      await session.query('BEGIN; SELECT FROM slots FOR UPDATE');
      assert.deepEqual(await Promise.all([write(0, [0]), write(1, [1])]), [true, false]);
      await eventually(() => waits.length > 1, 'it is tried again');
      assert.deepEqual([...new Set(waits)], ['55P03']);
    } finally {
      session.release(true); // its session ends, and with it the transaction
    }
    assert.equal(done.length, 1);
    await done[0];
  },
);

it('tries all partitions together when the database ends the sessions', async (t) => {
  const sizes: number[] = [];
  const { write } = await standOf(t, async (tx, events) => {
    tx.on('error', () => undefined);
    if (sizes.push(events.length) < 5) await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
  });
  assert.deepEqual(await Promise.all([write(0, [1]), write(1, [2])]), [true, true]);
  assert.deepEqual(sizes, [2, 2, 2, 2, 2]);
});

it(
  'gives one attempt to the later messages with the same error of the data, whatever is written beside them',
  { timeout: 20_000 },
  async (t) => {
    let isRefusing = true;
    let isWritten = false;
    const done: Promise<void>[] = [];
    const { pool, write } = await standOf(
      t,
      async (tx, events) => {
        if (isRefusing) await refuse(tx);
        if (events.length === 1 && events[0]!.offset === 1n && !isWritten) {
          isWritten = true;
          await write(1, [2]);
        }
        if (events[0]!.partition === 0) await tx.query('SELECT 1 / 0');
      },
      (_partition, _reason, end) => end && done.push(end),
    );
    assert.equal(await write(0, [0, 1]), false);
    isRefusing = false;
    await done[0];
    assert.ok(isWritten);
    const { rows } = await pool.query('SELECT "offset"::int AS at, attempts FROM millrace.dead_letters ORDER BY at');
    assert.deepEqual(rows, [
      { at: 0, attempts: 5 },
      { at: 1, attempts: 1 },
    ]);
  },
);

it(
  'reports an outage while the database refuses the events of one partition, and each reason of that',
  { timeout: 20_000 },
  async (t) => {
    let refusal: string | undefined = 'no right';
    let isAway = true;
    let last = '';
    const done: Promise<void>[] = [];
    const isPaused = async () => (await registry.metrics()).includes(`millrace_inbox_paused{group="${group}"} 1\n`);
    const { writer, write } = await standOf(
      t,
      async (tx, events) => {
        if (events[0]!.partition === 1 && refusal) await refuse(tx, refusal);
        if (isAway) throw new Unavailable('it is away');
      },
      (_partition, reason, end) => {
        last = reason;
        if (end) done.push(end);
      },
    );
    assert.equal(await write(1, [1]), false);
    assert.equal(last, 'PostgreSQL refuses its effects: no right');
    assert.ok(!(await isPaused()));
    refusal = 'no table';
    await eventually(() => last === 'PostgreSQL refuses its effects: no table', 'the reason is the last one');
    const writing = write(0, [0]);
    await eventually(isPaused, 'the outage is reported');
    assert.throws(() => writer.check(), { code: 'ERR_DATABASE_AWAY' });
    refusal = undefined;
    await eventually(() => last === 'the database is unavailable: it is away', 'the partition waits for the database');
    isAway = false;
    assert.ok(await writing);
    assert.ok(!(await isPaused()));
    await done[0];
    writer.check();
  },
);
