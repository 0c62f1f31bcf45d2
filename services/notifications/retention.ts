import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';

const batch = 2_000;

/** Ids are in the order of age, so that only the first rows are read and age needs no index. PENDING ones remain. */
const deleteOldest = `
  DELETE FROM notifications WHERE id IN (
    SELECT id FROM (SELECT id, created_at, status FROM notifications ORDER BY id LIMIT $2) AS first
    WHERE status <> 'PENDING' AND created_at < now() - $1 * interval '1 day'
  )`;

/**
 * Deletes the address that a mail leaves behind if it was being sent when its user was deleted. It checks deletions of the
 * last two days, so that it recovers from a missed pass.
 */
const eraseAddresses = `
  UPDATE notifications n SET recipient = NULL, last_error = NULL FROM recipients r
  WHERE r.deleted_at > now() - interval '2 days' AND n.user_id = r.user_id AND n.recipient IS NOT NULL`;

/** Deletes notifications older than `days`, in small transactions. Returns their number. */
export async function deleteOld(pool: Pool, days: number): Promise<number> {
  let deleted = 0;
  for (;;) {
    const { rowCount } = await pool.query(deleteOldest, [days, batch]);
    deleted += rowCount ?? 0;
    if ((rowCount ?? 0) < batch) return deleted;
  }
}

/** One pass: old notifications, and addresses of deleted users. */
export async function tidy(pool: Pool, days: number): Promise<number> {
  await pool.query(eraseAddresses);
  return deleteOld(pool, days);
}

/** Runs the pass every hour. */
export function createTidier(pool: Pool, days: number, log: Logger): Ticker {
  return new Ticker({
    name: 'delete old notifications',
    everyMs: 3_600_000,
    log,
    async run() {
      const deleted = await tidy(pool, days);
      if (deleted > 0) log.info({ deleted, days }, 'deleted old notifications');
    },
  });
}
