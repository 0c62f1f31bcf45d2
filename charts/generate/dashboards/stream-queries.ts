import type { Dashboard } from './panel.ts';

const selected = '{query=~"$query"}';

/** The counted events of each stream query, its lag, and the events that it could not count. */
export const streamQueries: Dashboard = {
  uid: 'millrace-stream-queries',
  title: 'Millrace: stream queries',
  description: 'The counted events of each stream query, its lag, and the events that it could not count',
  variables: [{ name: 'query', metric: 'millrace_stream_matched_events', label: 'query' }],
  rows: [
    {
      title: 'Progress',
      panels: [
        {
          title: 'Events counted',
          unit: 'ops',
          width: 12,
          queries: {
            '{{query}}': `deriv((max by (query) (millrace_stream_matched_events${selected}))[5m:15s]) > 0 or max by (query) (millrace_stream_matched_events${selected}) * 0`,
          },
        },
        {
          title: 'Lag',
          description: 'Events that are not counted yet',
          width: 12,
          queries: { '{{query}}': `max by (query) (millrace_stream_lag_events${selected})` },
        },
        {
          title: 'Watermark',
          description: 'Age of the query watermark',
          unit: 's',
          width: 12,
          queries: { '{{query}}': `time() - max by (query) (millrace_stream_watermark_seconds${selected})` },
        },
        {
          title: 'Repeated events, ignored',
          unit: 'ops',
          width: 12,
          queries: {
            '{{topic}}': 'sum by (topic) (rate(millrace_stream_repeated_events_total[$__rate_interval])) or vector(0)',
          },
        },
      ],
    },
    {
      title: 'Events not counted',
      panels: [
        {
          title: 'Late',
          description: 'After the grace of their window, since the query began',
          kind: 'bargauge',
          width: 12,
          queries: { '{{query}}': `max by (query) (millrace_stream_late_events${selected})` },
        },
        {
          title: 'Failed',
          description: 'An expression had no result, since the query began',
          kind: 'bargauge',
          width: 12,
          queries: { '{{query}}': `max by (query) (millrace_stream_failed_events${selected})` },
          thresholds: [1, 100],
        },
      ],
    },
    {
      title: 'Live streams',
      panels: [
        { title: 'Clients', width: 12, queries: { '{{instance}}': 'millrace_live_clients' } },
        {
          title: 'Disconnected for reading too slowly',
          unit: 'ops',
          width: 12,
          queries: { clients: 'sum(rate(millrace_live_slow_clients_total[$__rate_interval]))' },
        },
      ],
    },
  ],
};
