import { defineContract, ServiceHealth } from '#platform/contract';
import { streamEvents, streamOperations, streamSchemas } from '#streams/contract';

/** What analytics offers. */
export const analytics = defineContract('analytics', {
  schemas: { ...streamSchemas, ServiceHealth },
  prefixes: ['/api', ''],
  events: streamEvents({ metrics: ['analytics-events'], alerts: ['analytics-alerts'] }),
  operations: {
    ...streamOperations,
    getAnalyticsHealth: {
      method: 'get',
      path: '/analytics/health',
      summary: 'Whether the service does all that it is there for, as `/health` of its own port says',
      responses: {
        200: { description: 'It does', schema: ServiceHealth },
        503: { description: 'It does not, or cannot be reached', schema: ServiceHealth },
      },
    },
  },
});
