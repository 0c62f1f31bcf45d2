export { Health, healthAnswer } from './health.ts';
export type { HealthReport } from './health.ts';
