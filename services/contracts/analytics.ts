import { Type } from 'typebox';
import type { Static } from 'typebox';
import { defaultLimit, defineContract, Id, maxLimit, money, PathId, QueryTime, Time } from '#platform/contract';

const nullableTime = Type.Union([Time, Type.Null()]);
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

/** The names of the values that are not exact. */
const estimates = Type.Optional(
  Type.Array(Type.String(), { description: 'values that are estimates: distinct counts beyond their bound' }),
);

/** A window of a stream query; `values` holds the names that the query selects. */
export const Window = Type.Object({
  query: Type.String(),
  key: Type.String(),
  windowStart: Time,
  windowEnd: Time,
  values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Null()])),
  estimates,
  closed: Type.Boolean(),
  updatedAt: Time,
});
export type Window = Static<typeof Window>;

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

export const Alert = Type.Object({
  id: Id,
  type: Type.String({ description: 'the stream query that raised it', examples: ['high-value-order'] }),
  severity: Type.Enum(['info', 'warning', 'critical']),
  message: Type.String(),
  key: Type.String(),
  windowStart: nullableTime,
  windowEnd: nullableTime,
  value: Type.Union([Type.Number(), Type.Null()]),
  threshold: Type.Union([Type.Number(), Type.Null()]),
  createdAt: Time,
});
export type Alert = Static<typeof Alert>;

export const StreamStatus = Type.Object({
  query: Type.String(),
  version: Type.Integer(),
  definition: Type.Optional(Type.String({ description: 'SHA-256 of the text of the file that this version follows' })),
  state: Type.Enum(['Running', 'Waiting', 'Failed']),
  sources: Type.Array(Type.String()),
  window: Type.Union([Type.String(), Type.Null()]),
  lag: Type.Integer({ description: 'events not yet counted' }),
  watermark: nullableTime,
  eventsPerSecond: Type.Number(),
  lateEvents: Type.Integer({ description: 'events that came after the grace of their window and were dropped' }),
  failedEvents: Type.Integer({ description: 'events that the query has no result for, such as a missing field' }),
  building: Type.Optional(
    Type.Object(
      {
        version: Type.Integer(),
        definition: Type.Optional(Type.String({ description: 'SHA-256 of the text of the file that it follows' })),
        progress: Type.Number({ description: 'percent of the events of its topics' }),
        eventsLeft: Type.Integer(),
      },
      { description: 'the version that takes the place of this one when it has caught up' },
    ),
  ),
  faults: Type.Optional(
    Type.Array(Type.String(), {
      description: 'mistakes in the file of the query, with their lines; what ran of it before goes on',
    }),
  ),
});
export type StreamStatus = Static<typeof StreamStatus>;

const Summary = Type.Object({
  dashboard: Dashboard,
  alerts: Type.Array(Alert),
  streams: Type.Array(StreamStatus),
  topUsers: Type.Array(TopUser),
});
type Summary = Static<typeof Summary>;

const revenuePeriods = ['hourly', 'daily', 'weekly', 'monthly'] as const;

const windows = { 200: { description: 'Windows, newest first', schema: Type.Array(Window) } };
const range = { from: Type.Optional(QueryTime), to: Type.Optional(QueryTime) };

export const MetricUpdated = Type.Object({
  query: Type.String(),
  version: Type.Integer(),
  key: Type.String(),
  windowStart: nullableTime,
  windowEnd: nullableTime,
  values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.String(), Type.Null()])),
  estimates,
  closed: Type.Boolean(),
  updatedAt: Time,
  replaces: Type.Optional(
    Type.Array(Time, {
      description: 'of a session: the windowStart of sessions emitted before that are now part of this one',
    }),
  ),
});
export type MetricUpdated = Static<typeof MetricUpdated>;

/** What analytics offers. */
export const analytics = defineContract('analytics', {
  schemas: { Dashboard, Window, RevenuePeriod, TopUser, Alert, StreamStatus, Summary },
  prefixes: ['/api', ''], // the system that Millrace replaces serves these paths without one
  events: {
    'metric.updated': {
      summary: 'A window of a stream query changed or closed',
      topics: ['analytics-events', 'revenue-analytics', 'user-activity-analytics'],
      schema: MetricUpdated,
    },
    'alert.raised': { summary: 'A stream query raised an alert', topics: ['analytics-alerts'], schema: Alert },
  },
  operations: {
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
      params: Type.Object({ type: Type.String({ maxLength: 100, description: 'a status or an event type' }) }),
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
    listAlerts: {
      method: 'get',
      path: '/analytics/alerts',
      summary: 'Alerts, newest first',
      query: Type.Object({
        severity: Type.Optional(Type.Enum(['info', 'warning', 'critical'])),
        type: Type.Optional(Type.String({ maxLength: 100 })),
        limit,
        cursor: Type.Optional(PathId),
      }),
      responses: {
        200: {
          description: 'Alerts',
          schema: Type.Array(Alert),
          headers: { Link: 'the next page, `<...>; rel="next"`, where there is one' },
        },
      },
    },
    streamAnalytics: {
      method: 'get',
      path: '/analytics/stream',
      summary: 'Server-sent events: order, metric, alert',
      headers: {
        'last-event-id': {
          description: 'goes on behind this event; else from now, or a moment before',
          maxLength: 100,
        },
      },
      responses: { 200: { description: 'The stream', contentType: 'text/event-stream' } },
    },
    getSummary: {
      method: 'get',
      path: '/analytics/summary',
      summary: 'Everything at a glance',
      responses: { 200: { description: 'The summary', schema: Summary } },
    },
    getStreamsStatus: {
      method: 'get',
      path: '/analytics/streams/status',
      summary: "Each stream query's lag, watermark, rate and state",
      responses: { 200: { description: 'The queries', schema: Type.Array(StreamStatus) } },
    },
    getQueryWindows: {
      method: 'get',
      path: '/analytics/queries/{name}/windows',
      summary: "A stream query's windows",
      params: Type.Object({ name: Type.String({ maxLength: 253 }) }),
      query: Type.Object({ ...range, key: Type.Optional(Type.String({ maxLength: 500 })), limit }),
      responses: windows,
      problems: { 404: 'No such query' },
    },
  },
});
