import type { Mutant } from '../mutant.ts';

export const streams: readonly Mutant[] = [
  {
    name: 'alert-raised-again',
    breaks: 'An alert is raised again when its event comes again',
    file: 'streams/store/alerts.ts',
    from: 'ON CONFLICT (type, key, occurrence) DO NOTHING',
    to: 'ON CONFLICT (type, key, occurrence) DO UPDATE SET message = excluded.message',
    testFile: 'streams/runtime/engine.test.ts',
    test: 'raises an alert for each event of a query without a window, once however often the event comes',
  },
  {
    name: 'late-event-counted',
    breaks: 'An event that comes after the grace of its window is counted',
    file: 'streams/engine/windows.ts',
    from: 'return start + window.size + window.grace <= watermark;',
    to: 'return start + window.size + 2 * window.grace <= watermark;',
    testFile: 'streams/engine/aggregate.test.ts',
    test: 'equals the oracle, window for window, however the stream is cut into batches',
  },
  {
    name: 'repeated-event-counted',
    breaks: 'An event that the relay sends twice counts twice',
    file: 'streams/runtime/accumulation.ts',
    from: 'return isNew;',
    to: 'return true;',
    testFile: 'streams/runtime/engine.test.ts',
    test: 'counts an event once that a relay sends twice, whichever process reads the repetition',
  },
  {
    name: 'live-stream-passes-open-transactions',
    breaks: 'The live stream skips the rows of a transaction that commits after a later one',
    file: 'streams/store/feed.ts',
    from: ' AND xid < pg_snapshot_xmin(pg_current_snapshot())\n',
    to: '\n',
    testFile: 'services/analytics/api/live.test.ts',
    test: 'skips nothing of a transaction that commits late',
  },
  {
    name: 'analytics-without-the-contract',
    breaks: 'Stream queries count orders that all other consumers refuse',
    file: 'streams/runtime/accumulation.ts',
    from: 'return contractDecoder(events, (json, data) => {',
    to: 'return contractDecoder(events && {}, (json, data) => {',
    testFile: 'services/analytics/domain/contract.test.ts',
    test: 'refuses the orders that the other consumers refuse, with the same reason',
  },
];
