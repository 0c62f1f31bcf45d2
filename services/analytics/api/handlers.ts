import type { Dashboard, TopUser } from '#contracts/analytics.ts';
import type { analytics } from '#contracts/analytics.ts';
import { orderStatuses } from '#contracts/orders.ts';
import { defaultLimit, parseTime } from '#platform/contract';
import { healthAnswer } from '#platform/health';
import type { Health } from '#platform/health';
import type { Handlers } from '#platform/http';
import { nextPage, notFound } from '#platform/http';
import type { Pool } from '#platform/postgres';
import type { PlanSet } from '#streams/engine';
import type { StatusBoard } from '#streams/runtime';
import { listAlerts } from './alerts.ts';
import { Cached } from './cached.ts';
import { dayMs, queryNames, readDashboard, readRevenue, readTopUsers } from './figures.ts';
import type { LiveFeed } from './live.ts';
import { listWindows } from './windows.ts';
import type { WindowFilter } from './windows.ts';

export interface AnalyticsParts {
  pool: Pool;
  plans: () => PlanSet;
  board: StatusBoard;
  live: LiveFeed;
  health: Health;
  /** milliseconds since 1970 */
  now?: () => number;
}

/** How old a figure may be that many clients ask for, in milliseconds. */
const dashboardAgeMs = 500;
const topUsersAgeMs = 5_000;
/** Alerts and users in the summary. */
const summaryLimit = 10;

/** The operations of the analytics contract. */
export function createHandlers(parts: AnalyticsParts): Handlers<typeof analytics.operations> {
  const { pool, plans, board, live, health, now = Date.now } = parts;
  const dashboard = new Cached<Dashboard>(dashboardAgeMs, () => readDashboard(pool, plans(), now()));
  const recent = () => ({ from: new Date(now() - dayMs) });
  const summaryUsers = new Cached<TopUser[]>(topUsersAgeMs, () => readTopUsers(pool, plans(), recent(), summaryLimit));

  async function windows(name: string, filter: WindowFilter) {
    const plan = plans().named(name);
    return plan ? { body: await listWindows(pool, plan, filter, board.watermark(plan)) } : undefined;
  }

  return {
    getDashboard: async () => ({ body: await dashboard.get() }),

    async getOrderMetrics({ params, query }) {
      const status = orderStatuses.find((known) => known === params.type.toUpperCase());
      const name = status ? queryNames.byStatus : queryNames.byEventType;
      return (await windows(name, { ...filterOf(query), key: status ?? params.type })) ?? { body: [] };
    },

    async getUserActivity({ params, query }) {
      const key = String(BigInt(params.id)); // 007 is 7
      return (await windows(queryNames.activity, { ...filterOf(query), key })) ?? { body: [] };
    },

    async getTopUsers({ query }) {
      const { from, to, limit } = filterOf(query);
      const range = from || to ? { from, to } : recent();
      return { body: await readTopUsers(pool, plans(), range, limit) };
    },

    async getRevenue({ params, query }) {
      const { limit, ...range } = filterOf(query);
      return { body: await readRevenue(pool, plans(), params.period, range, limit) };
    },

    async listAlerts({ query }) {
      const { severity, type, cursor, limit = defaultLimit } = query;
      const alerts = await listAlerts(pool, { severity, type, before: cursor, limit: limit + 1 });
      const page = alerts.slice(0, limit);
      const next = alerts.length > limit ? page.at(-1)?.id : undefined;
      return { body: page, headers: nextPage('/analytics/alerts', query, next) };
    },

    getAnalyticsHealth: async () => healthAnswer('analytics', await health.report()),

    async streamAnalytics(request, response) {
      await live.attach(response, request.header('last-event-id'));
      return undefined;
    },

    async getSummary() {
      const [figures, alerts, streams, topUsers] = await Promise.all([
        dashboard.get(),
        listAlerts(pool, { limit: summaryLimit }),
        board.statuses(),
        summaryUsers.get(),
      ]);
      return { body: { dashboard: figures, alerts, streams, topUsers } };
    },

    getStreamsStatus: async () => ({ body: await board.statuses() }),

    async getQueryWindows({ params, query }) {
      const found = await windows(params.name, { ...filterOf(query), key: query.key });
      if (!found) throw notFound(`There is no stream query ${params.name}`);
      return found;
    },
  };
}

function filterOf(query: { from?: string; to?: string; limit?: number }) {
  return {
    from: query.from === undefined ? undefined : parseTime(query.from),
    to: query.to === undefined ? undefined : parseTime(query.to),
    limit: query.limit ?? defaultLimit,
  };
}
