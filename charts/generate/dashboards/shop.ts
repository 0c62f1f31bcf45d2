import type { Row } from './panel.ts';

/** The rows of the shop, the last ones of the event flow: they ask for metrics of its services alone. */
export const shopRows: Row[] = [
  {
    title: 'E-mails',
    panels: [
      {
        title: 'Attempts',
        unit: 'ops',
        stacked: true,
        queries: { '{{outcome}}': 'sum by (outcome) (rate(millrace_mails_total[$__rate_interval]))' },
      },
      { title: 'Waiting', queries: { 'e-mails': 'max(millrace_mails_pending)' } },
      {
        title: 'Wait of the oldest',
        unit: 's',
        queries: { oldest: 'max(millrace_mails_oldest_pending_seconds)' },
        thresholds: [60, 600],
      },
    ],
  },
];
