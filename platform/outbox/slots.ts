import type { Pool } from '#platform/postgres';
import { transaction } from '#platform/postgres';

/** Slots of the partitioned outbox; a row goes to the slot of its day. */
const slots = 3;
const dayMs = 86_400_000;

/** The slot that rows written at this time go to, as the column's default reckons it: days begin at midnight UTC. */
export function slotOf(time: number): number {
  return Math.floor(time / dayMs) % slots;
}

/** The slot to be emptied at this time: that of the next day, whose rows are of the day before the last. */
export function slotToEmpty(time: number): number {
  return slotOf(time + dayMs);
}

/** How long the truncation may wait for the table, and make others wait behind it, in milliseconds. */
const lockTimeoutMs = 50;

export type SlotOutcome = 'emptied' | 'empty' | 'unpublished' | 'busy';

/**
 * Empties the slot that is due, if all of it is published: TRUNCATE gives the space back at once and leaves nothing to
 * vacuum.
 */
export async function emptySlot(pool: Pool, now: number): Promise<SlotOutcome> {
  const slot = slotToEmpty(now);
  const table = `millrace.outbox_${slot}`;
  const { rows: any } = await pool.query(`SELECT 1 FROM ${table} LIMIT 1`);
  if (any.length === 0) return 'empty';
  try {
    return await transaction(pool, async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
      // no transaction that has written to the slot is open once the lock is held, so the check sees all its rows
      await tx.query(`LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
      const { rows: unpublished } = await tx.query(
        `SELECT 1 FROM millrace.outbox_shards s CROSS JOIN LATERAL (
           SELECT 1 FROM ${table} o WHERE o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id) LIMIT 1) r LIMIT 1`,
      );
      if (unpublished.length > 0) return 'unpublished';
      await tx.query(`TRUNCATE ${table}`);
      return 'emptied';
    });
  } catch (error) {
    if ((error as { code?: string }).code === '55P03') return 'busy';
    throw error;
  }
}
