import type { Pool } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { queryWatermark, openFor, passes, rowOf } from '#streams/engine';
import type { Observation, Plan, PlanSet } from '#streams/engine';
import { raiseAlerts } from './alerts.ts';
import { appendToFeed } from './feed.ts';
import { readAccumulators } from './literals.ts';
import { emitMetrics } from './metrics.ts';
import { addQuery, newRound } from './round.ts';
import type { Round, RoundPart } from './round.ts';

/** The most windows that one transaction closes. */
const batch = 500;

/** Closes the windows that the watermark has passed, for each query that emits on close. @throws while the database is unavailable */
export async function closeDue(pool: Pool, plans: PlanSet, observation: Observation): Promise<Round> {
  const round = newRound();
  for (const plan of plans.plans) {
    if (plan.query.emit?.on !== 'close') continue;
    const watermark = queryWatermark(plan, observation);
    if (watermark === undefined) continue;
    await addQuery(round, plan, () => closeWindows(pool, plan, watermark, observation.now));
  }
  return round;
}

type ClosedRow = [
  start: number,
  end: number,
  key: string,
  accumulators: string,
  updatedAt: Date,
  isOfBackfill: boolean,
];

/** Closes the windows that the watermark has passed, each once, and emits their values. */
async function closeWindows(pool: Pool, plan: Plan, watermark: number, now: number): Promise<RoundPart> {
  return transaction(pool, async (tx) => {
    const { rows } = await tx.query<ClosedRow>({
      name: 'windows-close',
      rowMode: 'array',
      text: `WITH over AS (
          SELECT window_start, key FROM stream_windows
          WHERE query_id = $1 AND closed = false AND window_end <= to_timestamp($2)
            AND EXISTS (SELECT FROM stream_queries q WHERE q.id = $1 AND q.retired_at IS NULL)
          ORDER BY window_end LIMIT ${batch} FOR UPDATE SKIP LOCKED)
        UPDATE stream_windows w SET closed = true, emissions = emissions + 1 FROM over
        WHERE w.query_id = $1 AND w.window_start = over.window_start AND w.key = over.key
        RETURNING (extract(epoch FROM w.window_start) * 1000)::float8, (extract(epoch FROM w.window_end) * 1000)::float8,
          w.key, w.accumulators::text, w.updated_at,
          w.updated_at <= (SELECT served_at FROM stream_queries q WHERE q.id = $1)`,
      values: [plan.id, (watermark - openFor(plan.query.window!)) / 1000],
    });
    const closed = rows
      .map(([start, end, key, accumulators, updatedAt, isOfBackfill]) => ({
        plan,
        row: rowOf(plan, start, key, readAccumulators(accumulators), end),
        occurrence: new Date(start).toISOString(),
        closed: true,
        updatedAt: updatedAt.getTime(),
        traceparent: undefined,
        backfillTime: isOfBackfill ? end + openFor(plan.query.window!) : undefined,
      }))
      .filter(({ row }) => passes(plan, row));
    const texts = plan.query.alert ? await raiseAlerts(tx, closed, now) : await emitMetrics(tx, closed);
    await appendToFeed(tx, plan.query.alert ? { alert: texts } : { metric: texts });
    return { emitted: texts.length, more: rows.length === batch };
  });
}
