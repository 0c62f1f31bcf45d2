import type { AnalyticsParts } from '../api/parts.ts';

/** Operations of your own domain, beside those that serve any queries. */
export const domainHandlers = (_parts: AnalyticsParts) => ({});

/** What the live stream says of the events themselves, beside windows and alerts: nothing yet. */
export const sourceFeed = undefined;
