import { quantile, type Dashboard } from './panel.ts';
import { shopRows } from './shop.ts';

/** From the outbox to the effect: waiting events, their age, and dead letters. */
export const eventFlow: Dashboard = {
  uid: 'millrace-event-flow',
  title: 'Millrace: event flow',
  description: 'From the outbox to the effect: waiting events, their age, and dead letters',
  rows: [
    {
      title: 'Overview',
      panels: [
        {
          title: 'Oldest event in an outbox',
          kind: 'stat',
          unit: 's',
          width: 6,
          queries: { '{{database}}': 'max by (database) (millrace_outbox_oldest_seconds)' },
          thresholds: [5, 60],
        },
        {
          title: 'Consumer lag',
          kind: 'stat',
          width: 6,
          queries: { '{{group}}': 'sum by (group) (max by (group, topic, partition) (millrace_inbox_lag))' },
          thresholds: [1_000, 10_000],
        },
        {
          title: 'Dead letters in an hour',
          kind: 'stat',
          width: 6,
          queries: { '{{group}}': 'sum by (group) (increase(millrace_inbox_dead_letters_total[1h])) or vector(0)' },
          thresholds: [1, 10],
        },
        {
          title: 'Event to effect, 99th percentile',
          kind: 'stat',
          unit: 's',
          width: 6,
          queries: { '{{group}}': quantile(0.99, 'millrace_event_latency_seconds', 'group') },
          thresholds: [1, 10],
        },
      ],
    },
    {
      title: 'Out: the outbox',
      panels: [
        {
          title: 'Published',
          unit: 'ops',
          queries: { '{{topic}}': 'sum by (topic) (rate(millrace_outbox_published_total[$__rate_interval]))' },
        },
        {
          title: 'Age of the oldest event',
          unit: 's',
          queries: { '{{database}}': 'max by (database) (millrace_outbox_oldest_seconds)' },
        },
        {
          title: 'Waiting',
          description: 'Counted up to 1,000 a shard',
          queries: { '{{database}}': 'sum by (database) (millrace_outbox_pending)' },
        },
        {
          title: 'Parked',
          description:
            'Kafka refuses these events, or earlier ones of their keys; millrace.outbox_parked has the reasons',
          queries: {
            // a database that has none has no topic either: its line is 0
            '{{database}} {{topic}}':
              'max by (database, topic) (millrace_outbox_parked) or 0 * sum by (database) (millrace_outbox_pending)',
          },
        },
        {
          title: 'Time until Kafka acknowledges, 99th percentile',
          unit: 's',
          queries: { '{{database}}': quantile(0.99, 'millrace_outbox_publish_seconds', 'database') },
        },
        {
          title: 'Shards that are published',
          description: 'Four per database; if there are fewer for longer than a lease, some shards are not published',
          queries: { '{{database}}': 'sum by (database) (millrace_outbox_shards)' },
        },
        {
          title: 'Failures',
          unit: 'ops',
          queries: {
            '{{database}}': 'sum by (database) (rate(millrace_outbox_failures_total[$__rate_interval])) or vector(0)',
          },
        },
      ],
    },
    {
      title: 'In: the inbox',
      panels: [
        {
          title: 'Processed',
          unit: 'ops',
          queries: {
            '{{group}} {{topic}}': 'sum by (group, topic) (rate(millrace_inbox_processed_total[$__rate_interval]))',
          },
        },
        {
          title: 'Lag',
          queries: {
            '{{group}} {{topic}}': 'sum by (group, topic) (max by (group, topic, partition) (millrace_inbox_lag))',
          },
        },
        {
          title: 'Event to effect',
          description: 'From the time of an event until its effects are committed',
          unit: 's',
          queries: {
            '{{group}} p50': quantile(0.5, 'millrace_event_latency_seconds', 'group'),
            '{{group}} p99': quantile(0.99, 'millrace_event_latency_seconds', 'group'),
          },
        },
        {
          title: 'Transaction, 99th percentile',
          unit: 's',
          queries: { '{{group}}': quantile(0.99, 'millrace_inbox_batch_seconds', 'group') },
        },
        {
          title: 'Messages a transaction',
          queries: {
            '{{group}}':
              'sum by (group) (rate(millrace_inbox_batch_events_sum[$__rate_interval])) / (sum by (group) (rate(millrace_inbox_batch_events_count[$__rate_interval])) > 0)',
          },
        },
        {
          title: 'Waits for its database',
          description: '1 while an inbox is paused',
          queries: { '{{group}}': 'max by (group) (millrace_inbox_paused)' },
          thresholds: [0.5, 1],
        },
        {
          title: 'Dead letters',
          unit: 'ops',
          queries: {
            '{{group}} {{topic}}':
              'sum by (group, topic) (rate(millrace_inbox_dead_letters_total[$__rate_interval])) or vector(0)',
          },
        },
        {
          title: 'Dead letters, open and waiting',
          queries: { '{{group}} {{state}}': 'max by (group, state) (millrace_dead_letters)' },
        },
        {
          title: 'Replayed',
          unit: 'ops',
          queries: {
            '{{group}} {{outcome}}':
              'sum by (group, outcome) (rate(millrace_inbox_replayed_total[$__rate_interval])) or vector(0)',
          },
        },
        {
          title: 'Skipped',
          description: 'Deleted from the log before they were read: lost for this group',
          unit: 'ops',
          queries: {
            '{{group}} {{topic}}':
              'sum by (group, topic) (rate(millrace_inbox_skipped_total[$__rate_interval])) or vector(0)',
          },
        },
      ],
    },
    ...shopRows,
  ],
};
