import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { createPool, Unavailable } from '#platform/postgres';
import { registry } from '#platform/telemetry';
import type { Accumulator } from './accumulation.ts';
import { AccumulatingWriter } from './accumulating-writer.ts';
import type { Sink } from './partition-batch.ts';
import { accumulatorOf, batchOf, inboxStand, itemAt, log, message, writerOf } from './testing.ts';

const isHealthy = (sink: Sink) => {
  try {
    sink.check();
    return true;
  } catch {
    return false;
  }
};

const isPaused = async (group: string) =>
  (await registry.metrics()).includes(`millrace_inbox_paused{group="${group}"} 1\n`);

/** The ways in which a member waits for its database, of a pool whose server is away. */
const waits: Record<string, (pool: ReturnType<typeof createPool>, group: string) => Sink> = {
  'writes its effects': idle,
  'loads what its events need': (pool, group) =>
    accumulatingOf(pool, group, async () => {
      await pool.query('SELECT');
    }),
  'writes what it has collected': (pool, group) => accumulatingOf(pool, group, () => Promise.resolve()),
};

function idle(pool: ReturnType<typeof createPool>, group: string): Sink {
  return writerOf({ group, pool, handle: () => Promise.resolve(), onCommitted: () => assert.fail() });
}

function accumulatingOf(pool: ReturnType<typeof createPool>, group: string, prepare: Accumulator['prepare']): Sink {
  return new AccumulatingWriter({
    group,
    pool,
    log,
    accumulator: { ...accumulatorOf(() => Promise.resolve()), prepare },
    lingerMs: 0,
    fallback: idle(pool, group),
    deadLetterWriter: () => Promise.resolve(),
    onCommitted: () => assert.fail(),
    onRefused: () => assert.fail(),
    onDiscarded: () => undefined,
  });
}

describe('a member that waits for its database', () => {
  for (const [name, sinkOf] of Object.entries(waits))
    it(`is well when the group has given its partitions to others: it ${name}`, async (t) => {
      const pool = createPool({ name: 'away', url: 'postgres://millrace@127.0.0.1:1/away', max: 2, log });
      t.after(() => pool.end());
      const group = `away: ${name}`;
      const sink = sinkOf(pool, group);
      const assignment = new AbortController();
      const at = { topic: 'orders', partition: 0 };
      const writing = sink.write(batchOf([itemAt({ ...at, offset: 0n }, group, 0)]), assignment.signal, 0);
      await eventually(() => !isHealthy(sink), 'it waits');
      assert.throws(() => sink.check(), { code: 'ERR_DATABASE_AWAY' });
      assert.ok(await isPaused(group));
      assignment.abort();
      await writing;
      await sink.idle();
      sink.check();
      assert.ok(!(await isPaused(group)));
    });
});

describe('an inbox that waits for its database', () => {
  const stand = inboxStand();

  it('is well when another member has done its work, though it commits nothing any more', async () => {
    await stand.send([message(0)]);
    const handle = () => Promise.reject(new Unavailable('the database is away'));
    const { health } = stand.start({ handle });
    const reason = async () => (await health.report()).checks[`inbox ${stand.group}`]!.reason ?? '';
    await eventually(async () => (await reason()).startsWith('the database is unavailable: '), 'it waits');
    const marks = await stand.kafka.admin.watermarks(stand.topic);
    const [partition] = [...marks].find(([, { high }]) => high > 0n)!;
    await stand.database.pool.query('UPDATE millrace.inbox_offsets SET next_offset = 1 WHERE partition = $1', [
      partition,
    ]);
    await eventually(() => stand.isReady(health), 'it is well', 15_000);
  });
});
