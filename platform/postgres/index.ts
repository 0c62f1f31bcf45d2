export { Batcher, BatcherFull } from './batcher.ts';
export { databaseNameOf, dropDatabaseAndRole, ensureDatabaseRoles, roleOf, withClient } from './database-roles.ts';
export { Unavailable, createPool, isUnavailable, ping, transaction } from './pool.ts';
export type { Pool, PoolClient } from './pool.ts';
