export { Health } from './health.ts';
export type { HealthReport } from './health.ts';
