import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTestDatabase } from '#test/database.ts';
import { Deliveries } from './deliveries.ts';

/** PostgreSQL keeps a plan of a named statement after five executions */
const rounds = 10;
const waiting = 20_000;
const batch = 200;
const leaseMs = 300_000;
/** a plan for a short list takes some seconds */
const longestMs = 700;

it('takes as long for a batch of a long list as of a short one, whatever was there at the beginning', async () => {
  const { pool, drop } = await createTestDatabase('notifications');
  try {
    const deliveries = new Deliveries(pool);
    const add = (from: number, count: number) =>
      pool.query(
        `WITH made AS (
           INSERT INTO notifications (user_id, event_id, type, subject, body)
           SELECT 1, 'order-' || n, 'order.created', 's', 'b' FROM generate_series($1::int, $2::int) n RETURNING id)
         INSERT INTO deliveries (notification_id) SELECT id FROM made`,
        [from, from + count - 1],
      );
    const sendBatch = async (): Promise<number> => {
      const claims = await deliveries.claim(batch, leaseMs);
      const held = await deliveries.settle(claims.map(({ id }) => ({ id, recipient: 'a@b.c', status: 'SENT' })));
      assert.deepEqual(held, []);
      return claims.length;
    };
    for (let round = 0; round < rounds; round++) {
      await add(round, 1);
      assert.equal(await sendBatch(), 1);
    }
    await add(rounds, waiting);
    for (let n = 0; n < 3; n++) {
      const start = performance.now();
      assert.equal(await sendBatch(), batch);
      const ms = performance.now() - start;
      assert.ok(ms < longestMs, `a batch took ${Math.round(ms)} ms`);
    }
  } finally {
    await drop();
  }
});
