import { Type } from 'typebox';
import { PathId, QueryTime, ServiceHealth, Text, defaultLimit, maxLimit } from '#platform/contract';
import { Alert, MetricUpdated, StreamStatus, Window, severities } from './schemas.ts';

const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: maxLimit, default: defaultLimit }));
const range = { from: Type.Optional(QueryTime), to: Type.Optional(QueryTime) };
const windows = { 200: { description: 'Windows, newest first', schema: Type.Array(Window) } };

/** The schemas that documents name. */
export const streamSchemas = { Window, Alert, StreamStatus, ServiceHealth };

/** What stream queries emit. @param topics that they are sent to, as the queries say */
export function streamEvents(topics: { metrics: readonly string[]; alerts: readonly string[] }) {
  return {
    'metric.updated': {
      summary: 'A window of a stream query changed or closed',
      topics: topics.metrics,
      schema: MetricUpdated,
    },
    'alert.raised': { summary: 'A stream query raised an alert', topics: topics.alerts, schema: Alert },
  } as const;
}

/** The operations that are the same whatever the queries are, for the contract of the service that runs them. */
export const streamOperations = {
  listAlerts: {
    method: 'get',
    path: '/analytics/alerts',
    summary: 'Alerts, newest first',
    query: Type.Object({
      severity: Type.Optional(Type.Enum(severities)),
      type: Type.Optional(Text({ maxLength: 100 })),
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
    params: Type.Object({ name: Text({ minLength: 1, maxLength: 253 }) }),
    query: Type.Object({ ...range, key: Type.Optional(Type.String({ maxLength: 500 })), limit }),
    responses: windows,
    problems: { 404: 'No such query' },
  },
  getAnalyticsHealth: {
    method: 'get',
    path: '/analytics/health',
    summary: 'Whether the service and its consumers work, as `/health` of its own port reports',
    responses: {
      200: { description: 'It does', schema: ServiceHealth },
      503: { description: 'Something does not work, or the service cannot be reached', schema: ServiceHealth },
    },
  },
} as const;
