import assert from 'node:assert/strict';
import { it } from 'node:test';
import pg from 'pg';
import { messageOf } from '#platform/errors';
import { createTestDatabase } from '#test/database.ts';
import { eventually, untilPasses } from '#test/eventually.ts';
import { checkFeed } from './feed.ts';

it('the feed says which transaction it waits for after 15 s, and nothing of rows of another server', async () => {
  const database = await createTestDatabase('analytics');
  const { pool } = database;
  const somebody = new pg.Client({ connectionString: database.url, application_name: 'somebody' });
  await somebody.connect();
  try {
    const add = (xid: string, age: string) =>
      pool.query(
        `INSERT INTO feed (xid, kind, items, created_at) VALUES (${xid}, 'order', '1', now() - $1::interval)`,
        [age],
      );
    await add(`'4000000000000'`, '20 seconds');
    await checkFeed(pool);
    await somebody.query('SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT pg_current_xact_id()');
    const { rows } = await somebody.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await add('pg_current_xact_id()', '1 second');
    await checkFeed(pool);
    await pool.query(`UPDATE feed SET created_at = now() - interval '20 seconds'`);
    const reason = () => checkFeed(pool).then(() => '', messageOf);
    const sentence = new RegExp(
      `^the live stream has stood still for 2\\d s: the transaction of process ${rows[0]!.pid} of PostgreSQL \\(somebody\\) is open for \\d+ s`,
    );
    // a transaction of another test can be older
    await eventually(async () => sentence.test(await reason()), 'it names the transaction', 15_000);
    await assert.rejects(checkFeed(pool), { code: 'ERR_LIVE_STREAM_HELD' });
    await somebody.query('ROLLBACK');
    await untilPasses(() => checkFeed(pool));
  } finally {
    await somebody.end();
    await database.drop();
  }
});
