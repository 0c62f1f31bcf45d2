import { defineContract, ServiceHealth } from '#platform/contract';
import { streamEvents, streamOperations, streamSchemas } from '#streams/contract';

/** The contract of analytics. */
export const analytics = defineContract('analytics', {
  schemas: { ...streamSchemas, ServiceHealth },
  prefixes: ['/api', ''],
  events: streamEvents({ metrics: ['analytics-events'], alerts: ['analytics-alerts'] }),
  operations: {
    ...streamOperations,
    getAnalyticsHealth: {
      method: 'get',
      path: '/analytics/health',
      summary: 'Whether the service and its consumers work, as `/health` of its own port reports',
      responses: {
        200: { description: 'It does', schema: ServiceHealth },
        503: { description: 'Something does not work, or the service cannot be reached', schema: ServiceHealth },
      },
    },
  },
});
