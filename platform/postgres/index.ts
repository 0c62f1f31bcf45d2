export { Batcher, BatcherFull } from './batcher.ts';
export { databaseNameOf, dropDatabaseAndRole, ensureDatabaseRoles, roleOf, withClient } from './database-roles.ts';
export { Unavailable, isOutcomeUnknown, isUnavailable, markUndone } from './errors.ts';
export { createPool, ping, transaction } from './pool.ts';
export type { Pool, PoolClient } from './pool.ts';
export { assertSessions } from './sessions.ts';
