import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import type { PlanSet, Versions } from '#streams/engine';
import { passes, rowOf } from '#streams/engine';
import { appendToFeed } from './feed.ts';
import { readAccumulators } from './literals.ts';
import { emitMetrics } from './metrics.ts';
import type { Emission } from './metrics.ts';
import { nextEpoch } from './versions.ts';

/** The most windows that one transaction emits. */
const batch = 500;

type DueRow = [
  queryId: number,
  start: number,
  end: number,
  key: string,
  accumulators: string,
  emissions: number,
  updatedAt: Date,
  replaces: Date[] | null,
];

/** The result of a round of emitting or closing. */
export interface Round {
  /** events written to the outbox */
  emitted: number;
  /** whether more windows can be due */
  more: boolean;
}

/**
 * Emits changed windows that are due, and those whose version has begun to serve. Replicas share the work: each skips the
 * windows that another one has locked.
 */
export async function emitDue(pool: Pool, { serving, unreleased }: Versions): Promise<Round> {
  const due = await emit(pool, serving, 'due_at <= now()');
  if (unreleased.plans.length === 0) return due;
  const held = await emit(pool, unreleased, `due_at = 'infinity'`);
  if (!held.more) await release(pool, unreleased);
  return { emitted: due.emitted + held.emitted, more: due.more || held.more };
}

/** Marks the versions that have emitted all changes from the time of their backfill. */
async function release(pool: Pool, plans: PlanSet): Promise<void> {
  await transaction(pool, async (tx: PoolClient) => {
    const { rowCount } = await tx.query(
      `UPDATE stream_queries q SET released_at = now() WHERE id = ANY($1) AND released_at IS NULL
         AND NOT EXISTS (SELECT FROM stream_windows w WHERE w.query_id = q.id AND w.due_at = 'infinity')`,
      [plans.plans.map(({ id }) => id)],
    );
    if (rowCount !== 0) await nextEpoch(tx);
  });
}

async function emit(pool: Pool, plans: PlanSet, isDue: string): Promise<Round> {
  const byId = new Map(plans.plans.map((plan) => [plan.id, plan]));
  return transaction(pool, async (tx) => {
    const { rows } = await tx.query<DueRow>({
      name: `windows ${isDue}`,
      rowMode: 'array',
      text: `WITH due AS (
          SELECT query_id, window_start, key FROM stream_windows
          WHERE ${isDue} AND query_id IN (SELECT id FROM stream_queries WHERE id = ANY($1) AND retired_at IS NULL)
          ORDER BY due_at LIMIT ${batch}
          FOR UPDATE SKIP LOCKED)
        UPDATE stream_windows w SET due_at = NULL, emissions = w.emissions + 1 FROM due
        WHERE w.query_id = due.query_id AND w.window_start = due.window_start AND w.key = due.key
        RETURNING w.query_id, (extract(epoch FROM w.window_start) * 1000)::float8,
          (extract(epoch FROM w.window_end) * 1000)::float8, w.key, w.accumulators::text, w.emissions, w.updated_at,
          w.replaces`,
      values: [[...byId.keys()]],
    });
    const emissions = rows.map(([queryId, start, end, key, accumulators, count, updatedAt, replaces]): Emission => {
      const plan = byId.get(queryId)!;
      return {
        plan,
        row: rowOf(plan, start, key, readAccumulators(accumulators), end),
        occurrence: `${start}-${count}`,
        closed: false,
        updatedAt: updatedAt.getTime(),
        replaces: replaces ?? [],
      };
    });
    const texts = await emitMetrics(
      tx,
      emissions.filter(({ plan, row }) => passes(plan, row)),
    );
    await appendToFeed(tx, { metric: texts });
    return { emitted: texts.length, more: rows.length === batch };
  });
}
