import type { Period, Dashboard, RevenuePeriod, TopUser } from '#contracts/analytics.ts';
import { orderStatuses } from '#contracts/orders.ts';
import type { Pool } from '#platform/postgres';
import { average } from '#streams/language';
import type { PlanSet } from '#streams/engine';
import { readWindowsAt, sumByKey, sumByPeriod } from '#streams/store';
import type { TimeRange } from '#streams/store';

/** The stream queries of the figures. */
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
  const { windows, count } = await readWindowsAt(
    pool,
    today,
    [byDay, entered, left].filter((plan) => plan !== undefined),
    active,
  );
  const day = windows.find(({ plan }) => plan === byDay);
  const [revenue, orders] = [day?.read('revenue') ?? '0', day?.read('orders') ?? '0'];
  const byStatus = new Map<string, number>(orderStatuses.map((status) => [status, 0]));
  for (const { plan, key, read } of windows) {
    if (plan === byDay) continue;
    const sign = plan === entered ? 1 : -1;
    byStatus.set(key, (byStatus.get(key) ?? 0) + sign * Number(read('orders')));
  }
  return {
    ordersToday: Number(orders),
    revenueToday: Number(revenue),
    activeUsersToday: count,
    averageOrderValue: averageOf(revenue, orders),
    ordersByStatus: Object.fromEntries(byStatus),
    updatedAt: new Date(now).toISOString(),
  };
}

function averageOf(revenue: string, orders: string): number {
  return orders === '0' ? 0 : Number(average(revenue, orders, 2));
}

/** The users with the most revenue in the range. */
export async function readTopUsers(pool: Pool, plans: PlanSet, range: TimeRange, limit: number): Promise<TopUser[]> {
  const plan = plans.named(queryNames.byUser);
  if (!plan?.query.window) return [];
  const rows = await sumByKey(pool, plan, ['revenue', 'orders'], range, limit);
  return rows.map(({ key, revenue, orders }) => ({
    userId: Number(key),
    revenue: Number(revenue),
    orders: Number(orders),
  }));
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
  range: TimeRange,
  limit: number,
): Promise<RevenuePeriod[]> {
  const { unit, of } = periods[period];
  const plan = plans.named(of);
  if (!plan?.query.window) return [];
  const rows = await sumByPeriod(pool, plan, ['revenue', 'orders'], unit, range, limit);
  return rows.map(({ start, end, revenue, orders }) => ({
    periodStart: start.toISOString(),
    periodEnd: end.toISOString(),
    revenue: Number(revenue),
    orders: Number(orders),
    averageOrderValue: averageOf(revenue, orders),
  }));
}
