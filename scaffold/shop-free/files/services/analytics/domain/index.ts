import type { AnalyticsParts } from '../api/parts.ts';

/** Operations of your own domain, beside the general ones of any query. */
export const domainHandlers = (_parts: AnalyticsParts) => ({});

/** The events in the live stream, beside windows and alerts: none yet. */
export const sourceFeed = undefined;
