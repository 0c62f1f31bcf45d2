export { Batcher, BatcherFull } from './batcher.ts';
export { connectionOf, urlHost } from './connection.ts';
export type { Certificates } from './connection.ts';
export { markDatabase, markStatements, marksOf } from './database-marks.ts';
export type { Marks } from './database-marks.ts';
export {
  databaseNameOf,
  dropDatabaseAndRole,
  ensureDatabaseRoles,
  roleOf,
  setPassword,
  withClient,
  withDatabasesLocked,
} from './database-roles.ts';
export { Unavailable, isOutcomeUnknown, isUnavailable, isUnreachable, isWrongPassword, markUndone } from './errors.ts';
export { describeHolder } from './holder.ts';
export { createPool, ping, transaction } from './pool.ts';
export type { ClientBase, Pool, PoolClient } from './pool.ts';
export { assertSessions } from './sessions.ts';
