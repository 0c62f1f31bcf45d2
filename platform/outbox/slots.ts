import { isLockFailure } from '#platform/errors';
import type { Pool } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { outboxTable } from './write.ts';

/** The number of slots of the partitioned outbox; a row goes to the slot of its day. A test holds it to `sql`. */
const slots = 3;
const dayMs = 86_400_000;

/** The slot of rows written at this time, as the column's default computes it: days begin at midnight UTC. */
export function slotOf(time: number): number {
  return Math.floor(time / dayMs) % slots;
}

/** The slot to empty at this time: that of tomorrow, whose rows are from the day before yesterday. */
export function slotToEmpty(time: number): number {
  return slotOf(time + dayMs);
}

/** The table of a slot's rows. */
export function slotTable(slot: number): string {
  return `${outboxTable}_${slot}`;
}

/** The time of the database, in milliseconds since 1970: it has chosen the slots of the rows, and another clock may say another day. */
export async function timeOf(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ now: number }>('SELECT extract(epoch FROM now())::float8 * 1000 AS now');
  return rows[0]!.now;
}

/** How long the truncation waits for its lock, in milliseconds: other transactions wait behind it. */
const lockTimeoutMs = 50;

export type SlotOutcome = 'emptied' | 'empty' | 'unpublished' | 'busy';

/**
 * Empties the slot of tomorrow if all its rows are published: TRUNCATE frees the space at once and leaves nothing to vacuum.
 */
export async function emptySlot(pool: Pool, now: number): Promise<SlotOutcome> {
  const slot = slotToEmpty(now);
  const table = slotTable(slot);
  const { rows: any } = await pool.query(`SELECT 1 FROM ${table} LIMIT 1`);
  if (any.length === 0) return 'empty';
  try {
    return await transaction(pool, async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
      // with the lock, no open transaction has written to the slot: the check sees all its rows
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
    if (isLockFailure(error)) return 'busy';
    throw error;
  }
}
