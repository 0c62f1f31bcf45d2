import type { Pool, PoolClient } from '#platform/postgres';
import { isUnavailable, transaction } from '#platform/postgres';
import type { Plan, PlanSet, Versions } from '#streams/engine';
import { passes, rowOf } from '#streams/engine';
import { appendToFeed } from './feed.ts';
import { readAccumulators } from './literals.ts';
import { emitMetrics } from './metrics.ts';
import type { Emission } from './metrics.ts';
import { addQuery, addTo, newRound } from './round.ts';
import type { Round, RoundPart } from './round.ts';
import { nextEpoch } from './versions.ts';
import { emitsChanges } from './windows.ts';

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

const isDueNow = 'due_at <= now()';
const isHeldBack = `due_at = 'infinity'`;

/**
 * Emits changed windows that are due, and those whose version has begun to serve. Replicas share the work: each skips the
 * windows that another one has locked. A change from before the query said that it emits none any more is dropped.
 * @param apart the ids of versions whose windows could not be emitted the last time: each gets a transaction of its own
 * @throws while the database is unavailable
 */
export async function emitDue(
  pool: Pool,
  { serving, unreleased }: Versions,
  apart: ReadonlySet<number> = new Set(),
): Promise<Round> {
  const round = newRound();
  await emitAll(round, pool, { plans: serving.plans, apart, isDue: isDueNow });
  if (unreleased.plans.length === 0) return round;
  const held = newRound();
  await emitAll(held, pool, { plans: unreleased.plans, apart, isDue: isHeldBack });
  if (!held.more) await release(pool, unreleased);
  addTo(round, held);
  round.failures.push(...held.failures);
  return round;
}

/** Emits the windows of all queries in one transaction. Where that fails, each query gets one of its own, and stops no other. */
async function emitAll(
  round: Round,
  pool: Pool,
  { plans, apart, isDue }: { plans: readonly Plan[]; apart: ReadonlySet<number>; isDue: string },
): Promise<void> {
  const alone = plans.filter(({ id }) => apart.has(id));
  const together = plans.filter(({ id }) => !apart.has(id));
  try {
    addTo(round, await emit(pool, together, isDue));
  } catch (error) {
    if (isUnavailable(error)) throw error;
    alone.push(...together);
  }
  for (const plan of alone) await addQuery(round, plan, () => emit(pool, [plan], isDue));
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

async function emit(pool: Pool, plans: readonly Plan[], isDue: string): Promise<RoundPart> {
  const byId = new Map(plans.map((plan) => [plan.id, plan]));
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
      emissions.filter(({ plan, row }) => emitsChanges(plan) && passes(plan, row)),
    );
    await appendToFeed(tx, { metric: texts });
    return { emitted: texts.length, more: rows.length === batch };
  });
}
