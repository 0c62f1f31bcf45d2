import type { Window } from '#streams/contract';
import type { Pool } from '#platform/postgres';
import type { Plan } from '#streams/engine';
import { openFor } from '#streams/engine';
import { readAccumulators } from './literals.ts';

export interface WindowFilter {
  /** only windows that end after it */
  from?: Date | undefined;
  /** only windows that start before it */
  to?: Date | undefined;
  key?: string | undefined;
  limit: number;
}

interface WindowRow {
  window_start: Date;
  window_end: Date;
  key: string;
  accumulators: string;
  closed: boolean | null;
  updated_at: Date;
}

/**
 * Windows of a query, newest first.
 * @param watermark of the query, in milliseconds since 1970, if it is known
 */
export async function listWindows(
  pool: Pool,
  plan: Plan,
  { from, to, key, limit }: WindowFilter,
  watermark: number | undefined,
): Promise<Window[]> {
  const { window } = plan.query;
  if (!window) return []; // it has no windows: its results are events and alerts
  const { rows } = await pool.query<WindowRow>({
    text: `SELECT window_start, window_end, key, accumulators::text AS accumulators, closed, updated_at FROM stream_windows
      WHERE query_id = $1 AND window_start > $2 AND window_start < $3 AND ($4::text IS NULL OR key = $4)
        AND window_end > $6
      ORDER BY window_start DESC, key LIMIT $5`,
    values: [
      plan.id,
      from && window.kind !== 'session' ? new Date(from.getTime() - window.size) : '-infinity',
      to ?? 'infinity',
      key?.replaceAll('\0', '') ?? null,
      limit,
      from ?? '-infinity',
    ],
  });
  return rows.map((row) => {
    const accumulators = readAccumulators(row.accumulators);
    const estimates = plan.layout.estimates(accumulators);
    return {
      query: plan.query.name,
      key: row.key,
      windowStart: row.window_start.toISOString(),
      windowEnd: row.window_end.toISOString(),
      values: plan.layout.read(accumulators),
      ...(estimates.length > 0 && { estimates }),
      closed: row.closed ?? (watermark !== undefined && row.window_end.getTime() + openFor(window) <= watermark),
      updatedAt: row.updated_at.toISOString(),
    };
  });
}
