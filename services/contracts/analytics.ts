import { Type } from 'typebox';
import type { Static } from 'typebox';
import { defaultLimit, defineContract, Id, maxLimit, money, PathId, QueryTime, Time } from '#platform/contract';
import { Alert, StreamStatus, Window, streamEvents, streamOperations, streamSchemas } from '#streams/contract';

const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit, default: defaultLimit }));

export const Dashboard = Type.Object({
  ordersToday: Type.Integer(),
  revenueToday: money(),
  activeUsersToday: Type.Integer(),
  averageOrderValue: money(),
  ordersByStatus: Type.Record(Type.String(), Type.Integer()),
  updatedAt: Time,
});
export type Dashboard = Static<typeof Dashboard>;

export const RevenuePeriod = Type.Object({
  periodStart: Time,
  periodEnd: Time,
  revenue: money(),
  orders: Type.Integer(),
  averageOrderValue: money(),
});
export type RevenuePeriod = Static<typeof RevenuePeriod>;

export const TopUser = Type.Object({ userId: Id, revenue: money(), orders: Type.Integer() });
export type TopUser = Static<typeof TopUser>;

const Summary = Type.Object({
  dashboard: Dashboard,
  alerts: Type.Array(Alert),
  streams: Type.Array(StreamStatus),
  topUsers: Type.Array(TopUser),
});
type Summary = Static<typeof Summary>;

const revenuePeriods = ['hourly', 'daily', 'weekly', 'monthly'] as const;
export type Period = (typeof revenuePeriods)[number];

const windows = { 200: { description: 'Windows, newest first', schema: Type.Array(Window) } };
const range = { from: Type.Optional(QueryTime), to: Type.Optional(QueryTime) };

/** The contract of analytics. */
export const analytics = defineContract('analytics', {
  schemas: { ...streamSchemas, Dashboard, RevenuePeriod, TopUser, Summary },
  prefixes: ['/api', ''], // the system that Millrace replaces serves these paths without a prefix
  events: streamEvents({
    metrics: ['analytics-events', 'revenue-analytics', 'user-activity-analytics'],
    alerts: ['analytics-alerts'],
  }),
  operations: {
    ...streamOperations,
    getDashboard: {
      method: 'get',
      path: '/analytics/dashboard',
      summary: "Today's figures (UTC)",
      responses: { 200: { description: 'The figures', schema: Dashboard } },
    },
    getOrderMetrics: {
      method: 'get',
      path: '/analytics/orders/metrics/{type}',
      summary: 'Windows of orders by status or event type',
      params: Type.Object({
        type: Type.String({ minLength: 1, maxLength: 100, description: 'a status or an event type' }),
      }),
      query: Type.Object({ ...range, limit }),
      responses: windows,
    },
    getUserActivity: {
      method: 'get',
      path: '/analytics/users/{id}/activity',
      summary: "A user's activity windows",
      params: Type.Object({ id: PathId }),
      query: Type.Object({ ...range, limit }),
      responses: windows,
    },
    getTopUsers: {
      method: 'get',
      path: '/analytics/users/top-performing',
      summary: 'The users with the most revenue, of the last 24 hours unless `from` says otherwise',
      query: Type.Object({ ...range, limit }),
      responses: { 200: { description: 'Users, most revenue first', schema: Type.Array(TopUser) } },
    },
    getRevenue: {
      method: 'get',
      path: '/analytics/revenue/{period}',
      summary: 'Revenue, count and average by period',
      params: Type.Object({ period: Type.Enum(revenuePeriods) }),
      query: Type.Object({ ...range, limit }),
      responses: { 200: { description: 'Periods, newest first', schema: Type.Array(RevenuePeriod) } },
    },
    getSummary: {
      method: 'get',
      path: '/analytics/summary',
      summary: 'Everything at a glance',
      responses: { 200: { description: 'The summary', schema: Summary } },
    },
  },
});
