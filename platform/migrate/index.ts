export { MigrationError, migrate } from './migrate.ts';
export type { MigrationTarget } from './migrate.ts';
