export { streamEvents, streamOperations, streamSchemas } from './contract.ts';
export { Alert, StreamStatus, Window } from './schemas.ts';
export type { MetricUpdated } from './schemas.ts';
