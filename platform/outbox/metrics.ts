import { counter, gauge, histogram } from '#platform/telemetry';

/** The relay's metrics; the label `database` distinguishes the outboxes of one process. */
export const metrics = {
  published: counter({
    name: 'millrace_outbox_published_total',
    help: 'Events that Kafka has acknowledged',
    labelNames: ['database', 'topic'],
  }),
  oldest: gauge({
    name: 'millrace_outbox_oldest_seconds',
    help: 'Age of the oldest unpublished event of the shards of this process',
    labelNames: ['database'],
  }),
  pending: gauge({
    name: 'millrace_outbox_pending',
    help: 'Unpublished events of the shards of this process, counted up to 1,000 a shard',
    labelNames: ['database'],
  }),
  parked: gauge({
    name: 'millrace_outbox_parked',
    help: 'Events that Kafka refuses, and the later ones of their keys, counted up to 10,000 a topic',
    labelNames: ['database', 'topic'],
  }),
  shards: gauge({
    name: 'millrace_outbox_shards',
    help: 'Shards of the outbox that this process publishes',
    labelNames: ['database'],
  }),
  batch: histogram({
    name: 'millrace_outbox_batch_events',
    help: 'Rows of the outbox in a batch that the relay publishes',
    labelNames: ['database'],
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000],
  }),
  publishing: histogram({
    name: 'millrace_outbox_publish_seconds',
    help: 'Time until Kafka has acknowledged a batch',
    labelNames: ['database'],
  }),
  failures: counter({
    name: 'millrace_outbox_failures_total',
    help: 'Batches that Kafka or the database refused, in whole or in part',
    labelNames: ['database'],
  }),
};
