import { eventFlow } from './event-flow.ts';
import type { Dashboard } from './panel.ts';
import { services } from './services.ts';
import { streamQueries } from './stream-queries.ts';

/** The dashboards of the platform's chart, by file. */
export const platformDashboards: Record<string, Dashboard> = {
  services,
  'event-flow': eventFlow,
  'stream-queries': streamQueries,
};
