import { defineContract } from '#platform/contract';
import { streamEvents, streamOperations, streamSchemas } from '#streams/contract';

/** The contract of analytics. */
export const analytics = defineContract('analytics', {
  schemas: streamSchemas,
  prefixes: ['/api', ''],
  events: streamEvents({ metrics: ['analytics-events'], alerts: ['analytics-alerts'] }),
  operations: streamOperations,
});
