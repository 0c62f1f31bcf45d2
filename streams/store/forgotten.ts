import { isLockFailure } from '#platform/errors';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { eventWatermark } from '#streams/engine';
import type { Observation, Plan, PlanSet } from '#streams/engine';
import { lockVersionsExclusive } from './versions.ts';

/** A window that has been closed and emitted, as far as its query does so: until then it is not deleted. */
export const isEmitted = 'closed IS NOT FALSE AND due_at IS NULL';

/**
 * How long forgetting waits for batches that have begun. All later ones wait behind it, so a batch of a silent member must not hold
 * it up; an attempt that waits for none would find a busy group always writing.
 */
const lockMs = 500;

/** The queries of $1 whose partitions have come to the times of $2, in seconds, and that have windows to forget since. */
const forgetting = `stream_queries q JOIN unnest($1::int[], $2::float8[]) AS c(id, seconds) USING (id)
  CROSS JOIN LATERAL (SELECT to_timestamp(seconds) - retention_ms * interval '1 ms' AS until) u
  WHERE released_at IS NOT NULL AND retired_at IS NULL AND until > coalesce(forgotten_until, '-infinity')
    AND EXISTS (SELECT FROM stream_windows w
                WHERE w.query_id = id AND window_start < until AND window_end <= until AND ${isEmitted})`;

/**
 * Forgets the windows whose retention is over, which are deleted later. What comes for them from now on is late. The time is that
 * of the slowest partition that is not idle: of these, no event that is in time finds its window gone. A version that is being
 * built, or that still has changes to emit from then, keeps all its windows. Nothing is forgotten where a batch holds the versions for long: the next call tries it
 * again.
 */
export async function forgetWindows(pool: Pool, serving: PlanSet, observation: Observation): Promise<void> {
  const known = serving.plans.flatMap((plan) => {
    const watermark = eventWatermark(plan, observation);
    return watermark === undefined ? [] : [{ id: plan.id, time: Math.min(watermark, observation.now) }];
  });
  const values = [known.map(({ id }) => id), known.map(({ time }) => time / 1000)];
  const { rowCount } = await pool.query(`SELECT FROM ${forgetting} LIMIT 1`, values);
  if (!rowCount) return; // the lock would hold up every batch
  try {
    await transaction(pool, async (tx) => {
      await tx.query(`SET LOCAL lock_timeout = ${lockMs}`);
      await lockVersionsExclusive(tx); // a batch that does not know it yet is committed before anything is deleted
      await tx.query(
        `UPDATE stream_queries SET forgotten_until = f.until FROM (SELECT id, until FROM ${forgetting}) f
         WHERE stream_queries.id = f.id`,
        values,
      );
    });
  } catch (error) {
    if (!isLockFailure(error)) throw error;
  }
}

/** Up to when the windows of plans are forgotten, in milliseconds since 1970, by the plan's id. The versions must be locked. */
export async function readForgotten(tx: PoolClient, plans: readonly Plan[]): Promise<ReadonlyMap<number, number>> {
  if (plans.length === 0) return new Map();
  const { rows } = await tx.query<[id: number, until: number]>({
    name: 'forgotten-read',
    rowMode: 'array',
    text: `SELECT id, (extract(epoch FROM forgotten_until) * 1000)::float8 FROM stream_queries
      WHERE id = ANY($1::int[]) AND forgotten_until IS NOT NULL`,
    values: [plans.map(({ id }) => id)],
  });
  return new Map(rows);
}
