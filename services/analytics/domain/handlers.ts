import type { analytics, Dashboard, TopUser } from '#contracts/analytics.ts';
import { orderStatuses } from '#contracts/orders.ts';
import type { Handlers } from '#platform/http';
import { listAlerts } from '#streams/store';
import { filterOf, windowsOf } from '../api/parts.ts';
import type { AnalyticsParts } from '../api/parts.ts';
import { Cached } from './cached.ts';
import { dayMs, queryNames, readDashboard, readRevenue, readTopUsers } from './figures.ts';

type DomainOperation =
  'getDashboard' | 'getOrderMetrics' | 'getUserActivity' | 'getTopUsers' | 'getRevenue' | 'getSummary';

/** The maximum age of a cached figure, in milliseconds. */
const dashboardAgeMs = 500;
const topUsersAgeMs = 5_000;
/** Alerts and users in the summary. */
const summaryLimit = 10;

/** The operations on orders and users, and the names of their queries. */
export function domainHandlers(parts: AnalyticsParts): Pick<Handlers<typeof analytics.operations>, DomainOperation> {
  const { pool, plans, board, now = Date.now } = parts;
  const dashboard = new Cached<Dashboard>(dashboardAgeMs, () => readDashboard(pool, plans(), now()));
  const recent = () => ({ from: new Date(now() - dayMs) });
  const summaryUsers = new Cached<TopUser[]>(topUsersAgeMs, () => readTopUsers(pool, plans(), recent(), summaryLimit));

  return {
    getDashboard: async () => ({ body: await dashboard.get() }),

    async getOrderMetrics({ params, query }) {
      const status = orderStatuses.find((known) => known === params.type.toUpperCase());
      const name = status ? queryNames.byStatus : queryNames.byEventType;
      return { body: (await windowsOf(parts, name, { ...filterOf(query), key: status ?? params.type })) ?? [] };
    },

    async getUserActivity({ params, query }) {
      const key = String(BigInt(params.id)); // 007 is 7
      return { body: (await windowsOf(parts, queryNames.activity, { ...filterOf(query), key })) ?? [] };
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

    async getSummary() {
      const [figures, alerts, streams, topUsers] = await Promise.all([
        dashboard.get(),
        listAlerts(pool, { limit: summaryLimit }),
        board.statuses(),
        summaryUsers.get(),
      ]);
      return { body: { dashboard: figures, alerts, streams, topUsers } };
    },
  };
}
