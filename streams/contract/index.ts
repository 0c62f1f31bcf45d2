export { streamEvents, streamOperations, streamSchemas } from './contract.ts';
export { Alert, StreamStatus, Window, severities } from './schemas.ts';
export type { MetricUpdated, Severity } from './schemas.ts';
