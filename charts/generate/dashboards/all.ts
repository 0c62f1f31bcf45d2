import { eventFlow } from './event-flow.ts';
import { operator } from './operator.ts';
import type { Dashboard } from './panel.ts';
import { services } from './services.ts';
import { streamQueries } from './stream-queries.ts';

/** The dashboards of each chart, by file. */
export const dashboards: Record<string, Record<string, Dashboard>> = {
  millrace: { services, 'event-flow': eventFlow, 'stream-queries': streamQueries },
  'millrace-operator': { operator },
};
