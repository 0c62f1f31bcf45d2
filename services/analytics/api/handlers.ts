import type { analytics } from '#contracts/analytics.ts';
import { defaultLimit } from '#platform/contract';
import { healthAnswer } from '#platform/health';
import type { Handlers } from '#platform/http';
import { nextPage, notFound } from '#platform/http';
import { listAlerts } from '#streams/store';
import { domainHandlers } from '../domain/index.ts';
import { filterOf, windowsOf } from './parts.ts';
import type { AnalyticsParts } from './parts.ts';

/** The operations of the analytics contract: the general ones of any query, and those of the domain. */
export function createHandlers(parts: AnalyticsParts): Handlers<typeof analytics.operations> {
  const { pool, board, live, health } = parts;
  return {
    ...domainHandlers(parts),

    async listAlerts({ query }) {
      const { severity, type, cursor, limit = defaultLimit } = query;
      const alerts = await listAlerts(pool, { severity, type, before: cursor, limit: limit + 1 });
      const page = alerts.slice(0, limit);
      const next = alerts.length > limit ? page.at(-1)?.id : undefined;
      return { body: page, headers: nextPage('/analytics/alerts', query, next) };
    },

    getAnalyticsHealth: async () => healthAnswer('analytics', await health.report()),

    async streamAnalytics(request, response) {
      await live.attach(response, request.header('last-event-id'));
      return undefined;
    },

    getStreamsStatus: async () => ({ body: await board.statuses() }),

    async getQueryWindows({ params, query }) {
      const body = await windowsOf(parts, params.name, { ...filterOf(query), key: query.key });
      if (!body) throw notFound(`There is no stream query ${params.name}`);
      return { body };
    },
  };
}
