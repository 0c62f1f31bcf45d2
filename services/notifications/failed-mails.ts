import type { Pool } from '#platform/postgres';

/** Which mails that have failed are meant. */
export interface FailedMails {
  /** only those made since then */
  since: Date;
  /** only those whose reason contains this text, in any case; empty for all */
  reason: string;
}

const selected = `status = 'FAILED' AND created_at >= $1 AND ($2 = '' OR strpos(lower(last_error), lower($2)) > 0)
  AND NOT EXISTS (SELECT FROM recipients r WHERE r.user_id = n.user_id AND r.deleted_at IS NOT NULL)`;

/** Counts mails by why they have failed, the most frequent reason first. */
export async function countFailed(
  pool: Pool,
  { since, reason }: FailedMails,
): Promise<{ reason: string; mails: number }[]> {
  const { rows } = await pool.query<{ reason: string; mails: number }>(
    `SELECT coalesce(last_error, 'no reason') AS reason, count(*)::int AS mails FROM notifications n WHERE ${selected}
     GROUP BY 1 ORDER BY 2 DESC, 1`,
    [since, reason],
  );
  return rows;
}

/** Makes mails due that have failed, as if they had not been tried. @returns how many */
export async function sendAgain(pool: Pool, { since, reason }: FailedMails): Promise<number> {
  const { rowCount } = await pool.query(
    `WITH again AS (
       UPDATE notifications n SET status = 'PENDING', attempts = 0, last_error = NULL WHERE ${selected} RETURNING id
     )
     INSERT INTO deliveries (notification_id) SELECT id FROM again ORDER BY id`,
    [since, reason],
  );
  return rowCount ?? 0;
}
