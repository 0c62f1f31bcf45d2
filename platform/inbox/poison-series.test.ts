import assert from 'node:assert/strict';
import { it } from 'node:test';
import { pino } from 'pino';
import { createTestDatabase } from '#test/database.ts';
import { batchOf, itemAt, numberOf, writerOf } from './testing.ts';

it('gives the first of many messages with the same error of the data all attempts, and the others one', async (t) => {
  const database = await createTestDatabase();
  t.after(() => database.drop());
  const [group, topic] = ['g', 't'];
  await database.pool.query(`INSERT INTO millrace.inbox_offsets VALUES ('${group}', '${topic}', 0, 0)`);
  const lines: { level: number; offset?: string; code?: string; messages?: number }[] = [];
  const writer = writerOf({
    group,
    pool: database.pool,
    log: pino({}, { write: (line: string) => lines.push(JSON.parse(line) as (typeof lines)[0]) }),
    handle: async (tx, events) => {
      for (const event of events) await tx.query('SELECT 1 / $1::int', [numberOf(event) % 5]);
    },
  });
  const items = Array.from({ length: 20 }, (_, n) => itemAt({ topic, partition: 0, offset: BigInt(n) }, group, n));
  assert.ok(await writer.write(batchOf(items), new AbortController().signal));
  await writer.idle();
  const { rows } = await database.pool.query(
    'SELECT "offset"::int AS n, attempts, error_code AS code FROM millrace.dead_letters ORDER BY id',
  );
  assert.deepEqual(
    rows,
    [0, 5, 10, 15].map((n) => ({ n, attempts: n === 0 ? 5 : 1, code: '22012' })),
  );
  assert.deepEqual(
    lines.map(({ level, offset, code, messages }) => ({ level, offset, code, messages })),
    [
      { level: 40, offset: '0', code: undefined, messages: undefined },
      { level: 50, offset: '0', code: undefined, messages: undefined },
      { level: 50, offset: undefined, code: '22012', messages: 3 },
    ],
  );
});
