import { messageOf } from '#platform/errors';
import { answerOf } from '#platform/postgres';
import { waitedTooLong } from './held-offsets.ts';

/**
 * SQLSTATEs of the connection, the transaction, the login, the database, a conflict that passes, missing resources and a server that
 * ends: with them, any statement can fail.
 */
const ofServer = /^(08|25|28|3D|40|53|57P)/;

/**
 * After how many failures in a row with such an error, which the database is to blame for, it can be that of one event: a right, a table or a
 * trigger that only some events need, or a row that is locked.
 * @returns Infinity where PostgreSQL has not answered, or its answer is about more than the statement
 */
export function patienceWith(error: unknown): number {
  const answer = answerOf(error);
  if (!answer || ofServer.test(answer.state) || answer.isFatal) return Number.POSITIVE_INFINITY;
  return waitedTooLong.has(answer.state) ? 1 : 2;
}

/** Counts the failures in a row that can be those of one event. */
export class Patience {
  #refusals = 0;

  /** Notes a failure, which the database is to blame for. @returns whether one event can be the reason */
  endsWith(error: unknown): boolean {
    const patience = patienceWith(error);
    this.#refusals = patience === Number.POSITIVE_INFINITY ? 0 : this.#refusals + 1;
    return this.#refusals >= patience;
  }
}

/** Why a partition waits that is tried beside the others, after its last failure: meanwhile the database can be away, too. */
export function reasonToWait(error: unknown): string {
  const what =
    patienceWith(error) === Number.POSITIVE_INFINITY ? 'the database is unavailable' : 'PostgreSQL refuses its effects';
  return `${what}: ${messageOf(error)}`;
}
