// Events that earlier releases have written are read by the present consumers: the log keeps them, and a rebuild begins with them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeRecorded, readReleases } from '#contracts/releases.ts';
import { streamQueryFiles } from '#platform/declarations';
import type { ReceivedEvent } from '#platform/contract';
import { transaction } from '#platform/postgres';
import { loadQueries, queryTopics } from '#streams/language';
import { createTestDatabase } from '#test/database.ts';
import { applyEvents } from '../services/notifications/intake.ts';
import { processOrderEvents } from '../services/orders/projection/order-event-processor.ts';
import { runQueries } from '../streams/cli/run.ts';

const dataOf = (event: ReceivedEvent) => event.data as Record<string, unknown>;

for (const { version, recorded } of readReleases()) {
  describe(`the events of ${version}`, () => {
    const events = recorded.map(decodeRecorded);
    const ofType = (type: string) => events.filter((event) => event.type === type);

    it('are projected into the read model', async (t) => {
      const { pool, drop } = await createTestDatabase('orders-read');
      t.after(drop);
      await transaction(pool, (tx) => processOrderEvents(tx, events));
      const { rows } = await pool.query<{ id: number; status: string; is_deleted: boolean }>(
        'SELECT id::int, status::text, is_deleted FROM orders ORDER BY id',
      );
      const lives = Map.groupBy(
        events.filter(({ topic }) => topic === 'order-events'),
        (event) => Number(dataOf(event)['orderId']),
      );
      assert.deepEqual(
        rows,
        [...lives]
          .map(([id, life]) => ({
            id,
            status: dataOf(life.at(-1)!)['status'],
            is_deleted: life.some(({ type }) => type === 'order.deleted'),
          }))
          .toSorted((a, b) => a.id - b.id),
      );
    });

    it('become notifications', async (t) => {
      const { pool, drop } = await createTestDatabase('notifications');
      t.after(drop);
      await transaction(pool, (tx) => applyEvents(tx, events, Number.POSITIVE_INFINITY));
      const { rows } = await pool.query<{ event_id: string }>('SELECT event_id FROM notifications');
      const notified = new Set(rows.map((row) => row.event_id));
      for (const { id } of [...ofType('user.created'), ...ofType('order.created')])
        assert.ok(notified.has(id), `${id} became no notification`);
    });

    it('are counted by the stream queries', () => {
      const queries = loadQueries(streamQueryFiles(), queryTopics());
      const runs = runQueries(queries, events, Date.now());
      for (const { plan, tally } of runs)
        assert.equal(tally.failed, 0, `${plan.query.name} failed: ${JSON.stringify(tally.failure)}`);
      const revenue = runs.find(({ plan }) => plan.query.name === 'revenue')!;
      const orders = revenue.windows.reduce((sum, { row }) => sum + Number(row.values['orders']), 0);
      assert.equal(orders, ofType('order.created').length);
    });
  });
}
