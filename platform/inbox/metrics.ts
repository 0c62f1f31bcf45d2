import { counter, gauge, histogram } from '#platform/telemetry';

/** The metrics of the inboxes of a process. */
export const metrics = {
  processed: counter({
    name: 'millrace_inbox_processed_total',
    help: 'Messages whose effects are committed, dead letters included',
    labelNames: ['group', 'topic'],
  }),
  lag: gauge({
    name: 'millrace_inbox_lag',
    help: 'Messages of a partition that the group has not processed yet',
    labelNames: ['group', 'topic', 'partition'],
  }),
  batch: histogram({
    name: 'millrace_inbox_batch_seconds',
    help: 'Time of a transaction with its effects and offsets',
    labelNames: ['group'],
  }),
  batchSize: histogram({
    name: 'millrace_inbox_batch_events',
    help: 'Messages in a transaction',
    labelNames: ['group'],
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000],
  }),
  latency: histogram({
    name: 'millrace_event_latency_seconds',
    help: 'Time from an event until its effects are committed; a large transaction measures a sample of its events',
    labelNames: ['group', 'topic'],
  }),
  deadLetters: counter({
    name: 'millrace_inbox_dead_letters_total',
    help: 'Messages that became dead letters',
    labelNames: ['group', 'topic'],
  }),
  waiting: counter({
    name: 'millrace_inbox_waiting_total',
    help: 'Messages that wait behind a dead letter of their key',
    labelNames: ['group', 'topic'],
  }),
  pendingDeadLetters: gauge({
    name: 'millrace_dead_letters',
    help: 'Dead letters that are neither replayed nor discarded, by state',
    labelNames: ['group', 'state'],
  }),
  tombstones: counter({
    name: 'millrace_inbox_tombstones_total',
    help: 'Messages without a value that were skipped',
    labelNames: ['group', 'topic'],
  }),
  refused: counter({
    name: 'millrace_inbox_dead_letters_refused_total',
    help: 'Attempts to write a dead letter that the database refused even without its message: the partition waits',
    labelNames: ['group', 'topic'],
  }),
  skipped: counter({
    name: 'millrace_inbox_skipped_total',
    help: 'Offsets that the log lost before the group read them',
    labelNames: ['group', 'topic'],
  }),
  paused: gauge({
    name: 'millrace_inbox_paused',
    help: '1 while the inbox waits for its database',
    labelNames: ['group'],
  }),
  waited: counter({
    name: 'millrace_inbox_waited_total',
    help: 'Transactions that failed because the database was unavailable, and are tried again',
    labelNames: ['group'],
  }),
  replayed: counter({
    name: 'millrace_inbox_replayed_total',
    help: 'Dead letters processed again',
    labelNames: ['group', 'outcome'],
  }),
};
