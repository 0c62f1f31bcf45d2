import { quantile, type Dashboard } from './panel.ts';

/** The work of the operator, its duration, and the state of its watches. */
export const operator: Dashboard = {
  uid: 'millrace-operator',
  title: 'Millrace: operator',
  description: 'The work of the operator, its duration, and the state of its watches',
  rows: [
    {
      title: 'Reconciles',
      panels: [
        {
          title: 'Leaders',
          description: 'One, except for the seconds of a takeover',
          kind: 'stat',
          width: 6,
          queries: { leaders: 'sum(operator_leader)' },
        },
        {
          title: 'Waiting',
          kind: 'stat',
          width: 6,
          queries: { '{{controller}}': 'sum by (controller) (operator_queue_depth)' },
          thresholds: [50, 500],
        },
        {
          title: 'Reconciles',
          unit: 'ops',
          width: 12,
          queries: {
            '{{controller}} {{result}}':
              'sum by (controller, result) (rate(operator_reconciles_total[$__rate_interval]))',
          },
        },
        {
          title: 'Duration, 99th percentile',
          unit: 's',
          width: 12,
          queries: { '{{controller}}': quantile(0.99, 'operator_reconcile_seconds', 'controller') },
        },
        {
          title: 'Wait in the queue, 99th percentile',
          unit: 's',
          width: 12,
          queries: { '{{controller}}': quantile(0.99, 'operator_queue_wait_seconds', 'controller') },
        },
      ],
    },
    {
      title: 'The API server',
      panels: [
        {
          title: 'Requests',
          description: 'A steady state writes nothing',
          unit: 'ops',
          queries: {
            '{{verb}} {{resource}}': 'sum by (verb, resource) (rate(operator_api_requests_total[$__rate_interval]))',
          },
        },
        {
          title: 'Failed requests',
          unit: 'ops',
          queries: {
            '{{resource}} {{code}}':
              'sum by (resource, code) (rate(operator_api_requests_total{code!~"2.."}[$__rate_interval])) or vector(0)',
          },
        },
        {
          title: 'Restarted watches',
          unit: 'ops',
          queries: {
            '{{resource}} {{reason}}':
              'sum by (resource, reason) (rate(operator_watch_restarts_total[$__rate_interval])) or vector(0)',
          },
        },
        { title: 'Objects in the caches', queries: { '{{resource}}': 'max by (resource) (operator_cached_objects)' } },
        {
          title: 'Memory',
          unit: 'bytes',
          queries: { '{{instance}}': 'process_resident_memory_bytes{job="millrace-operator"}' },
          thresholds: [180e6, 220e6],
        },
        {
          title: 'CPU',
          description: 'Cores',
          queries: { '{{instance}}': 'rate(process_cpu_seconds_total{job="millrace-operator"}[$__rate_interval])' },
        },
      ],
    },
  ],
};
