import type { Pool } from '#platform/postgres';
import type { Plan } from '#streams/engine';
import { readAccumulators } from './literals.ts';

/** Windows that overlap with it. */
export interface TimeRange {
  from?: Date | undefined;
  to?: Date | undefined;
}

/** Sums by the names of a query's aggregates, as decimal text. */
export type Sums<Name extends string> = Record<Name, string>;

/**
 * The windows of some queries that start at a time, and the number of windows of another query.
 * @param read returns an aggregate of the window by name, as decimal text; 0 where the query does not select it
 */
export async function readWindowsAt(
  pool: Pool,
  start: Date,
  plans: readonly Plan[],
  counted: Plan | undefined,
): Promise<{ windows: { plan: Plan; key: string; read: (name: string) => string }[]; count: number }> {
  const { rows } = await pool.query<{ query_id: number; key: string | null; accumulators: string; count: number }>({
    text: `SELECT query_id, key, accumulators::text AS accumulators, 0 AS count FROM stream_windows
        WHERE query_id = ANY($1) AND window_start = $2
      UNION ALL
      SELECT $3, NULL, NULL, count(*)::int FROM stream_windows WHERE query_id = $3 AND window_start = $2`,
    values: [plans.map(({ id }) => id), start, counted?.id ?? 0],
  });
  const windows = rows.flatMap(({ query_id: id, key, accumulators }) => {
    const plan = plans.find((candidate) => candidate.id === id);
    if (!plan || key === null) return [];
    const values = readAccumulators(accumulators);
    return [{ plan, key, read: (name: string) => values[plan.layout.indexOf(name) ?? -1] ?? '0' }];
  });
  return { windows, count: rows.find(({ key }) => key === null)?.count ?? 0 };
}

/** The sums of aggregates by key, the largest first sum first. */
export async function sumByKey<Name extends string>(
  pool: Pool,
  plan: Plan,
  names: readonly [Name, ...Name[]],
  range: TimeRange,
  limit: number,
): Promise<(Sums<Name> & { key: string })[]> {
  const { rows } = await pool.query<Sums<Name> & { key: string }>({
    text: `SELECT key, ${names.map((name) => `${sumOf(plan, name)}::text AS ${name}`).join(', ')}
      FROM stream_windows WHERE query_id = $1 AND window_start > $2 AND window_start < $3
      GROUP BY key ORDER BY ${sumOf(plan, names[0])} DESC, key LIMIT $4`,
    values: [plan.id, startsAfter(range, plan), range.to ?? 'infinity', limit],
  });
  return rows;
}

/** The sums of aggregates by period of UTC, newest first; weeks begin on Monday. */
export async function sumByPeriod<Name extends string>(
  pool: Pool,
  plan: Plan,
  names: readonly Name[],
  unit: 'hour' | 'day' | 'week' | 'month',
  range: TimeRange,
  limit: number,
): Promise<(Sums<Name> & { start: Date; end: Date })[]> {
  const { rows } = await pool.query<Sums<Name> & { start: Date; end: Date }>({
    text: `SELECT start, date_add(start, interval '1 ${unit}', 'UTC') AS "end", ${names.map((name) => `${name}::text`).join(', ')}
      FROM (
        SELECT date_trunc('${unit}', window_start, 'UTC') AS start,
          ${names.map((name) => `${sumOf(plan, name)} AS ${name}`).join(', ')}
        FROM stream_windows WHERE query_id = $1 AND window_start > $2 AND window_start < $3 GROUP BY 1) sums
      ORDER BY start DESC LIMIT $4`,
    values: [plan.id, startsAfter(range, plan), range.to ?? 'infinity', limit],
  });
  return rows;
}

/** The SQL of a sum. Its index comes from the query's layout, never from a request. */
function sumOf(plan: Plan, name: string): string {
  const index = plan.layout.indexOf(name);
  return index === undefined ? '0::numeric' : `sum(accumulators[${index + 1}])`;
}

function startsAfter({ from }: TimeRange, plan: Plan): Date | string {
  return from ? new Date(from.getTime() - plan.query.window!.size) : '-infinity';
}
