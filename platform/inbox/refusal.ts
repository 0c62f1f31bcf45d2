import { messageOf } from '#platform/errors';
import { waitedTooLong } from './held-offsets.ts';

/**
 * SQLSTATEs of the connection, the transaction, the login, the database, a conflict that passes, missing resources and a server that
 * ends: with them, any statement can fail.
 */
const ofServer = /^(08|25|28|3D|40|53|57P)/;
const sqlState = /^[0-9A-Z]{5}$/;

/**
 * After how many failures in a row with such an error, which the database is to blame for, it can be that of one event: a right, a table or a
 * trigger that only some events need, or a row that is locked.
 * @returns Infinity where PostgreSQL has not answered, or its answer is about more than the statement
 */
export function patienceWith(error: unknown): number {
  const answer = answerOf(error);
  if (!answer || ofServer.test(answer.code) || answer.severity === 'FATAL') return Number.POSITIVE_INFINITY;
  return waitedTooLong.has(answer.code) ? 1 : 2;
}

/** What PostgreSQL has answered: its errors have a severity, those of Node have none. */
function answerOf(error: unknown): { code: string; severity: string } | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  if (typeof code === 'string' && sqlState.test(code) && typeof severity === 'string') return { code, severity };
  return answerOf(error.cause);
}

/** Why a partition waits that is tried beside the others, after its last failure: meanwhile the database can be away, too. */
export function reasonToWait(error: unknown): string {
  const what =
    patienceWith(error) === Number.POSITIVE_INFINITY ? 'the database is unavailable' : 'PostgreSQL refuses its effects';
  return `${what}: ${messageOf(error)}`;
}
