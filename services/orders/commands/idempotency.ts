import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import type { OrderCreated } from '#contracts/orders.ts';
import { toCents } from '#platform/contract';
import { markUndone } from '#platform/postgres';
import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { NewOrder } from '../domain/order.ts';
import { forgetOldBatches } from './lost-batch.ts';

/** The order of a repeated key, as it was placed. */
export interface EarlierOrder {
  id: number;
  fingerprint: string;
  order: NewOrder;
  createdAt: Date;
}

/**
 * An Idempotency-Key as it is stored. It belongs to the subject that has sent it: others who send the same key neither get that
 * subject's order nor learn of it.
 */
export function keyOf(subject: string | undefined, key: string): string {
  if (subject === undefined) return key;
  // JSON, so that no other pair of texts has the same digest
  return createHash('sha256')
    .update(JSON.stringify([subject, key]))
    .digest('base64url');
}

/** The order of a key, from its first event; undefined if the key is unknown. */
export async function findByKey(pool: Pool, key: string): Promise<EarlierOrder | undefined> {
  const { rows } = await pool
    .query<{ fingerprint: string; data: OrderCreated }>({
      name: 'order-of-key',
      text: `SELECT k.fingerprint, e.data FROM idempotency_keys k
        JOIN order_events e ON e.order_id = k.order_id AND e.version = 1 WHERE k.key = $1`,
      values: [key],
    })
    .catch((error: unknown) => {
      throw markUndone(error); // it only reads
    });
  const [row] = rows;
  if (!row) return undefined;
  const { orderId, userId, totalAmount, items, shippingAddress, notes, createdAt } = row.data;
  return {
    id: orderId,
    fingerprint: row.fingerprint,
    order: { userId, totalCents: toCents(totalAmount)!, items, shippingAddress, notes },
    createdAt: new Date(createdAt),
  };
}

const chunk = 500;

/** Deletes keys older than a day, in chunks, so that no lock is held for long. Returns their number. */
export async function forgetOldKeys(pool: Pool): Promise<number> {
  let forgotten = 0;
  for (;;) {
    const { rowCount } = await pool.query(
      `DELETE FROM idempotency_keys WHERE key IN (
         SELECT key FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
         ORDER BY created_at LIMIT ${chunk} FOR UPDATE SKIP LOCKED)`,
    );
    forgotten += rowCount ?? 0;
    if ((rowCount ?? 0) < chunk) return forgotten;
  }
}

/** Deletes old keys, and the last batches of processes that have ended, every five minutes. */
export function createKeyCleaner(pool: Pool, log: Logger): Ticker {
  return new Ticker({
    name: 'forget old idempotency keys',
    everyMs: 300_000,
    log,
    async run() {
      const forgotten = await forgetOldKeys(pool);
      if (forgotten > 0) log.debug({ forgotten }, 'deleted old idempotency keys');
      await forgetOldBatches(pool);
    },
  });
}
