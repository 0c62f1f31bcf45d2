import type { Pool } from 'pg';
import { backoffMs, pause } from '#platform/lifecycle';
import { transaction } from '#platform/postgres';

/** A batch of orders: the numbers of a placer grow, and it sends one batch at a time. */
export interface BatchId {
  /** a UUID of the process */
  placer: string;
  number: number;
}

/** The ids of the orders of a committed batch, null for one whose key was taken; or that it is not committed and never will be. */
export type BatchOutcome = (string | null)[] | 'undone' | 'unknown';

/** The time to find out, in milliseconds: less than the gateway waits for an answer. */
const findOutMs = 3_000;
/** how long the transaction of the batch may hold its row, before the question is asked again, in milliseconds */
const lockMs = 1_000;
const backoff = { firstMs: 20, maxMs: 500 };

/**
 * Takes the number of the batch itself. If it can, the batch is not committed, and if it arrives later, it finds its number
 * taken and stores nothing. If the batch is being committed, this waits for it.
 */
const settle = `INSERT INTO last_batches AS last (placer, number) VALUES ($1, $2)
  ON CONFLICT (placer) DO UPDATE SET number = excluded.number,
    order_ids = CASE WHEN last.number = excluded.number THEN last.order_ids END
  RETURNING order_ids`;

const placed = `SELECT array_agg(o.id::text ORDER BY n) AS ids
  FROM unnest($1::bigint[]) WITH ORDINALITY AS batch(id, n) LEFT JOIN orders o USING (id)`;

/** What became of a batch whose connection was lost. It asks on other connections until it knows, or the time is up. */
export async function outcomeOf(pool: Pool, batch: BatchId): Promise<BatchOutcome> {
  const ended = new AbortController();
  const timeUp = pause(findOutMs, ended.signal).then((): BatchOutcome => 'unknown');
  try {
    return await Promise.race([askUntil(ended.signal, pool, batch), timeUp]);
  } finally {
    ended.abort();
  }
}

async function askUntil(ended: AbortSignal, pool: Pool, batch: BatchId): Promise<BatchOutcome> {
  for (let failures = 1; !ended.aborted; failures += 1) {
    try {
      return await ask(pool, batch);
    } catch {
      await pause(backoffMs(failures, backoff), ended);
    }
  }
  return 'unknown';
}

function ask(pool: Pool, { placer, number }: BatchId): Promise<BatchOutcome> {
  return transaction(pool, async (tx) => {
    await tx.query(`SET LOCAL lock_timeout = ${lockMs}`);
    const { rows } = await tx.query<{ order_ids: string[] | null }>(settle, [placer, number]);
    const ids = rows[0]!.order_ids;
    if (ids === null) return 'undone';
    const orders = await tx.query<{ ids: (string | null)[] }>(placed, [ids]);
    return orders.rows[0]!.ids;
  });
}

/** Deletes the last batches of processes that have placed no order for a day. */
export async function forgetOldBatches(pool: Pool): Promise<void> {
  await pool.query(`DELETE FROM last_batches WHERE placed_at < now() - interval '1 day'`);
}
