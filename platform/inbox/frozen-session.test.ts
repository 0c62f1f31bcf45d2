import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually } from '#test/eventually.ts';
import { createPool } from '#platform/postgres';
import { inboxStand, log, message, partitions } from './testing.ts';

const withinMs = 20_000;

describe('an Inbox one of whose sessions hangs in the server', () => {
  const stand = inboxStand();

  it('goes on with the other partitions within 20 s, says so, and has all in the end', async (t) => {
    const pool = createPool({ name: 'frozen-test', url: stand.database.url, max: 4, log, statementMs: 1_000 });
    let frozen = 0;
    const thaw = () => {
      if (frozen > 0) process.kill(frozen, 'SIGCONT');
      frozen = -1;
    };
    t.after(async () => {
      thaw();
      await Promise.all(stand.inboxes.map((inbox) => inbox.stop()));
      await pool.end();
    });
    await stand.send([message(0)]);
    const { health } = stand.start({
      pool,
      async handle(tx, events) {
        if (frozen === 0) {
          const { rows } = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
          frozen = rows[0]!.pid;
          process.kill(frozen, 'SIGSTOP');
        }
        await stand.insert(tx, events);
      },
    });
    await eventually(() => frozen > 0, 'the process of the session stands still');
    await stand.sendRange(1, 40);
    await eventually(async () => !(await stand.isReady(health)), 'the health says so');
    const partitionsDone = async () => new Set((await stand.effects()).map(({ place }) => place.split('/')[0])).size;
    await eventually(async () => (await partitionsDone()) === partitions - 1, 'the others go on', withinMs);
    assert.ok(!(await stand.isReady(health)));
    thaw();
    await stand.reach(40);
    await stand.assertOnceInOrder(40);
  });

  it('begins with the other partitions where one is locked when it takes them', async () => {
    await stand.sendRange(0, 20);
    const first = stand.start();
    await stand.reach(20);
    await first.inbox.stop();
    const session = await stand.database.pool.connect();
    try {
      await session.query('SET idle_in_transaction_session_timeout = 0');
      await session.query('BEGIN');
      await session.query('SELECT FROM millrace.inbox_offsets WHERE partition = 0 FOR UPDATE');
      await stand.sendRange(20, 40);
      const { health } = stand.start();
      const read = async () => {
        const later = (await stand.effects()).filter(({ n }) => n >= 20);
        return new Set(later.map(({ place }) => place.split('/')[0]));
      };
      await eventually(async () => (await read()).size === partitions - 1, 'the others go on', withinMs);
      assert.ok(!(await read()).has('0'));
      const { checks } = await health.report();
      assert.ok(
        Object.values(checks).some(({ reason }) => reason?.includes('/0 waits: another session of PostgreSQL holds')),
      );
      await session.query('ROLLBACK');
      await stand.reach(40);
      await stand.assertOnceInOrder(40);
      await eventually(() => stand.isReady(health), 'it is ready');
    } finally {
      session.release(true);
    }
  });
});
