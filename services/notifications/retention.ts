import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';

const batch = 2_000;

/** Ids are in the order of age, so only the first few need a look: no index on the age. PENDING ones stay. */
const deleteOldest = `
  DELETE FROM notifications WHERE id IN (
    SELECT id FROM (SELECT id, created_at, status FROM notifications ORDER BY id LIMIT $2) AS first
    WHERE status <> 'PENDING' AND created_at < now() - $1 * interval '1 day'
  )`;

/**
 * A mail that was under way when its user was deleted leaves an address behind; this takes it away. Deletions of the last two
 * days are looked at, so that a pass that was missed does not matter.
 */
const eraseAddresses = `
  UPDATE notifications n SET recipient = NULL, last_error = NULL FROM recipients r
  WHERE r.deleted_at > now() - interval '2 days' AND n.user_id = r.user_id AND n.recipient IS NOT NULL`;

/** Deletes notifications older than `days`, in small transactions. Answers how many. */
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

/** Tidies up every hour. */
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
