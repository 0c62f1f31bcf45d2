import { quantile, type Dashboard } from './panel.ts';

const requests = 'millrace_http_request_seconds';
const selected = '{job=~"$service"}';
const failed = '{job=~"$service", status=~"5.."}';

/** Rate, errors and duration of each service, and what its processes use. */
export const services: Dashboard = {
  uid: 'millrace-services',
  title: 'Millrace: services',
  description: 'Rate, errors and duration of each service, and what its processes use',
  variables: [{ name: 'service', metric: `${requests}_count`, label: 'job' }],
  rows: [
    {
      title: 'Requests',
      panels: [
        {
          title: 'Requests',
          unit: 'reqps',
          queries: { '{{job}}': `sum by (job) (rate(${requests}_count${selected}[$__rate_interval]))` },
        },
        {
          title: 'Errors',
          description: 'Ratio of 5xx responses',
          unit: 'percentunit',
          queries: {
            '{{job}}': `(sum by (job) (rate(${requests}_count${failed}[$__rate_interval])) or sum by (job) (rate(${requests}_count${selected}[$__rate_interval])) * 0) / (sum by (job) (rate(${requests}_count${selected}[$__rate_interval])) > 0)`,
          },
          thresholds: [0.001, 0.01],
        },
        {
          title: 'Duration, 99th percentile',
          unit: 's',
          queries: { '{{job}}': quantile(0.99, requests, 'job', selected) },
        },
        { title: 'Duration, median', unit: 's', queries: { '{{job}}': quantile(0.5, requests, 'job', selected) } },
        {
          title: 'Slowest routes',
          description: '99th percentile',
          unit: 's',
          kind: 'bargauge',
          queries: {
            '{{job}} {{method}} {{route}}': `topk(8, ${quantile(0.99, requests, 'job, method, route', selected)})`,
          },
        },
        {
          title: 'Responses by status',
          unit: 'reqps',
          stacked: true,
          queries: { '{{status}}': `sum by (status) (rate(${requests}_count${selected}[$__rate_interval]))` },
        },
      ],
    },
    {
      title: 'The gateway',
      panels: [
        {
          title: 'Calls in flight',
          queries: { '{{upstream}} {{kind}}': 'sum by (upstream, kind) (millrace_gateway_in_flight)' },
        },
        {
          title: 'Open and half-open circuits',
          kind: 'stat',
          queries: { '{{upstream}}': 'max by (upstream) (millrace_gateway_circuit{state!="closed"})' },
          thresholds: [0.5, 1],
        },
        {
          title: 'Retries',
          unit: 'ops',
          queries: {
            '{{upstream}}': 'sum by (upstream) (rate(millrace_gateway_retries_total[$__rate_interval])) or vector(0)',
          },
        },
        {
          title: 'Refused',
          description: 'Shed, or because the circuit was open',
          unit: 'ops',
          queries: {
            '{{upstream}} {{reason}}':
              'sum by (upstream, reason) (rate(millrace_gateway_refused_total[$__rate_interval])) or vector(0)',
          },
        },
      ],
    },
    {
      title: 'Processes',
      panels: [
        {
          title: 'CPU',
          description: 'Cores',
          queries: { '{{job}}': `sum by (job) (rate(process_cpu_seconds_total${selected}[$__rate_interval]))` },
        },
        {
          title: 'Memory',
          unit: 'bytes',
          queries: { '{{job}} {{instance}}': `process_resident_memory_bytes${selected}` },
        },
        {
          title: 'Event loop lag, 99th percentile',
          unit: 's',
          queries: { '{{job}} {{instance}}': `nodejs_eventloop_lag_p99_seconds${selected}` },
          thresholds: [0.05, 0.2],
        },
        {
          title: 'Database connections',
          queries: { '{{pool}} {{state}}': 'sum by (pool, state) (millrace_db_connections)' },
        },
        {
          title: 'Waits for a database connection',
          queries: { '{{pool}}': 'sum by (pool) (millrace_db_connections{state="waited-for"})' },
          thresholds: [1, 10],
        },
        {
          title: 'Cache lookups',
          unit: 'ops',
          stacked: true,
          queries: {
            '{{cache}} {{result}}':
              'sum by (cache, result) (rate(millrace_cache_lookups_total[$__rate_interval])) or vector(0)',
          },
        },
      ],
    },
  ],
};
