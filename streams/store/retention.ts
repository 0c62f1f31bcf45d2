import { isPending } from '#platform/inbox';
import type { Pool } from '#platform/postgres';
import { maxRepeatDistance } from '#streams/engine';
import { alertsKeptMs } from './alerts.ts';
import { trimFeed } from './feed.ts';
import { isEmitted } from './forgotten.ts';

const hourMs = 3_600_000;

/** How long the live stream can be resumed. */
export const feedKeptMs = hourMs;

/** The most rows that one statement deletes, so that it holds locks only briefly. */
const chunk = 5_000;

/** Deletes rows whose retention is over. @returns whether there can be more */
export async function cleanUp(pool: Pool): Promise<boolean> {
  const counts = [
    await trimFeed(pool, feedKeptMs, chunk),
    await trimAlerts(pool),
    await trimWindows(pool),
    await trimRecentIds(pool),
  ];
  await forgetLetters(pool);
  return counts.some((count) => count >= chunk);
}

async function trimAlerts(pool: Pool): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM alerts USING (SELECT id FROM alerts ORDER BY id LIMIT $2) oldest
     WHERE alerts.id = oldest.id AND alerts.created_at < now() - $1 * interval '1 ms'`,
    [alertsKeptMs, chunk],
  );
  return rowCount ?? 0;
}

/** Deletes forgotten windows, and all windows of retired versions. */
async function trimWindows(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ id: number; before: string }>(
    `SELECT q.id, (CASE WHEN retired_at IS NULL THEN forgotten_until ELSE 'infinity' END)::text AS before
     FROM stream_queries q WHERE q.retention_ms IS NOT NULL AND (forgotten_until IS NOT NULL OR retired_at IS NOT NULL)
       AND EXISTS (SELECT FROM stream_windows w WHERE w.query_id = q.id)`,
  );
  let deleted = 0;
  for (const { id, before } of rows) {
    const { rowCount } = await pool.query(
      `DELETE FROM stream_windows WHERE (query_id, window_start, key) IN
         (SELECT query_id, window_start, key FROM stream_windows
          WHERE query_id = $1 AND window_start < $2 AND window_end <= $2
            AND (${isEmitted} OR $2 = 'infinity') ORDER BY window_start, key LIMIT $3)`,
      [id, before, chunk],
    );
    deleted = Math.max(deleted, rowCount ?? 0);
  }
  return deleted;
}

/** Deletes ids that are too old to be repeated. */
async function trimRecentIds(pool: Pool): Promise<number> {
  const { rowCount } = await pool.query(
    `DELETE FROM stream_recent_ids r USING millrace.inbox_offsets o
     WHERE r.consumer_group = o.consumer_group AND r.topic = o.topic AND r.partition = o.partition
       AND r.last_offset < o.next_offset - $1::bigint`,
    [2 * maxRepeatDistance],
  );
  return rowCount === null ? 0 : Math.min(rowCount, chunk - 1); // the statement has no limit: nothing is left
}

/** Forgets which versions have the events of dead letters that are replayed or discarded, and what retired versions have. */
async function forgetLetters(pool: Pool): Promise<void> {
  await pool.query(
    `DELETE FROM stream_letters l WHERE is_taken AND NOT EXISTS (
       SELECT FROM millrace.dead_letters d WHERE d.topic = l.topic AND d.partition = l.partition
         AND coalesce(d.earlier_offset, d."offset") = l."offset" AND ${isPending})
       OR EXISTS (SELECT FROM stream_queries q WHERE q.id = l.query_id AND q.retired_at IS NOT NULL)`,
  );
}
