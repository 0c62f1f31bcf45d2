import type { Period, Dashboard, RevenuePeriod, TopUser } from '#contracts/analytics.ts';
import { orderStatuses } from '#contracts/orders.ts';
import type { Pool } from '#platform/postgres';
import { average } from '#streams/language';
import type { Plan, PlanSet } from '#streams/engine';
import { readAccumulators } from '#streams/store';

/** The stream queries that the figures come from; their files say what they count. */
export const queryNames = {
  byDay: 'revenue-by-day',
  activeUsers: 'active-users-by-day',
  entered: 'orders-entered-by-day',
  left: 'orders-left-by-day',
  revenue: 'revenue',
  byUser: 'revenue-by-user',
  byStatus: 'orders-by-status',
  byEventType: 'orders-by-event-type',
  activity: 'user-activity',
} as const;

export const dayMs = 86_400_000;

/** Today's figures; the day is UTC's. */
export async function readDashboard(pool: Pool, plans: PlanSet, now: number): Promise<Dashboard> {
  const today = new Date(Math.floor(now / dayMs) * dayMs);
  const [byDay, entered, left, active] = [
    queryNames.byDay,
    queryNames.entered,
    queryNames.left,
    queryNames.activeUsers,
  ].map((name) => plans.named(name));
  const { rows } = await pool.query<{
    query_id: number;
    key: string | null;
    accumulators: string | null;
    users: number;
  }>({
    text: `SELECT query_id, key, accumulators::text AS accumulators, 0 AS users FROM stream_windows
        WHERE query_id = ANY($1) AND window_start = $2
      UNION ALL
      SELECT $3, NULL, NULL, count(*)::int FROM stream_windows WHERE query_id = $3 AND window_start = $2`,
    values: [[byDay, entered, left].flatMap((plan) => (plan ? [plan.id] : [])), today, active?.id ?? 0],
  });
  const day = rows.find(({ key, query_id: id }) => key !== null && id === byDay?.id);
  const revenue = day ? figure(byDay!, day.accumulators!, 'revenue') : '0';
  const orders = day ? figure(byDay!, day.accumulators!, 'orders') : '0';
  const byStatus = new Map<string, number>(orderStatuses.map((status) => [status, 0]));
  for (const [plan, sign] of [
    [entered, 1],
    [left, -1],
  ] as const) {
    for (const { query_id: id, key, accumulators } of rows) {
      if (!plan || id !== plan.id || key === null) continue;
      byStatus.set(key, (byStatus.get(key) ?? 0) + sign * Number(figure(plan, accumulators!, 'orders')));
    }
  }
  return {
    ordersToday: Number(orders),
    revenueToday: Number(revenue),
    activeUsersToday: rows.find(({ key }) => key === null)?.users ?? 0,
    averageOrderValue: averageOf(revenue, orders),
    ordersByStatus: Object.fromEntries(byStatus),
    updatedAt: new Date(now).toISOString(),
  };
}

function figure(plan: Plan, accumulators: string, name: string): string {
  const index = plan.layout.indexOf(name);
  return (index === undefined ? undefined : readAccumulators(accumulators)[index]) ?? '0';
}

function averageOf(revenue: string, orders: string): number {
  return orders === '0' ? 0 : Number(average(revenue, orders, 2));
}

export interface Range {
  from?: Date | undefined;
  to?: Date | undefined;
}

/** SQL of an accumulator. Its index comes from the query's layout, never from a request. */
function column(plan: Plan, name: string): string {
  const index = plan.layout.indexOf(name);
  return index === undefined ? '0::numeric' : `accumulators[${index + 1}]`;
}

/** The users with the most revenue in the range. */
export async function readTopUsers(pool: Pool, plans: PlanSet, range: Range, limit: number): Promise<TopUser[]> {
  const plan = plans.named(queryNames.byUser);
  if (!plan?.query.window) return [];
  const { rows } = await pool.query<{ key: string; revenue: string; orders: string }>({
    text: `SELECT key, sum(${column(plan, 'revenue')})::text AS revenue, sum(${column(plan, 'orders')})::text AS orders
      FROM stream_windows WHERE query_id = $1 AND window_start > $2 AND window_start < $3
      GROUP BY key ORDER BY sum(${column(plan, 'revenue')}) DESC, key LIMIT $4`,
    values: [plan.id, startsAfter(range, plan), range.to ?? 'infinity', limit],
  });
  return rows.map(({ key, revenue, orders }) => ({
    userId: Number(key),
    revenue: Number(revenue),
    orders: Number(orders),
  }));
}

function startsAfter({ from }: Range, plan: Plan): Date | string {
  return from ? new Date(from.getTime() - plan.query.window!.size) : '-infinity';
}

const periods = {
  hourly: { unit: 'hour', of: queryNames.revenue },
  daily: { unit: 'day', of: queryNames.byDay },
  weekly: { unit: 'week', of: queryNames.byDay },
  monthly: { unit: 'month', of: queryNames.byDay },
} as const;

/** Revenue, number of orders and average by period of UTC, newest first; weeks begin on Monday. */
export async function readRevenue(
  pool: Pool,
  plans: PlanSet,
  period: Period,
  range: Range,
  limit: number,
): Promise<RevenuePeriod[]> {
  const { unit, of } = periods[period];
  const plan = plans.named(of);
  if (!plan?.query.window) return [];
  const { rows } = await pool.query<{ start: Date; end: Date; revenue: string; orders: string }>({
    text: `SELECT start, date_add(start, interval '1 ${unit}', 'UTC') AS "end", revenue::text, orders::text FROM (
        SELECT date_trunc('${unit}', window_start, 'UTC') AS start,
          sum(${column(plan, 'revenue')}) AS revenue, sum(${column(plan, 'orders')}) AS orders
        FROM stream_windows WHERE query_id = $1 AND window_start > $2 AND window_start < $3 GROUP BY 1) sums
      ORDER BY start DESC LIMIT $4`,
    values: [plan.id, startsAfter(range, plan), range.to ?? 'infinity', limit],
  });
  return rows.map(({ start, end, revenue, orders }) => ({
    periodStart: start.toISOString(),
    periodEnd: end.toISOString(),
    revenue: Number(revenue),
    orders: Number(orders),
    averageOrderValue: averageOf(revenue, orders),
  }));
}
