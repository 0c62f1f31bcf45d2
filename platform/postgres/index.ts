export { Batcher, BatcherFull } from './batcher.ts';
export { endClient, withClient, withConnection } from './client.ts';
export { connectionOf, urlHost } from './connection.ts';
export type { Certificates } from './connection.ts';
export { markDatabase, markStatements, marksOf } from './database-marks.ts';
export type { Marks } from './database-marks.ts';
export {
  createDatabaseRoles,
  databaseNameOf,
  dropDatabaseAndRole,
  ensureDatabaseRoles,
  lockDatabases,
  roleOf,
  setPassword,
} from './database-roles.ts';
export {
  Unavailable,
  answerOf,
  isOfData,
  isOutcomeUnknown,
  isUnavailable,
  isUnreachable,
  isWrongPassword,
  markOutcomeUnknown,
  markUndone,
} from './errors.ts';
export { describeHolder } from './holder.ts';
export { createPool, ping, transaction } from './pool.ts';
export type { ClientBase, Pool, PoolClient } from './pool.ts';
export { assertSession, assertSessions } from './sessions.ts';
