import { toError } from '#platform/errors';
import { isUnavailable } from '#platform/postgres';
import type { Plan } from '#streams/engine';

/** The result of a round of emitting or closing. */
export interface Round {
  /** events written to the outbox */
  emitted: number;
  /** whether more windows can be due */
  more: boolean;
  /** the queries whose windows could not be emitted or closed, and why */
  failures: { plan: Plan; error: Error }[];
}

/** What a transaction of a round has done. */
export type RoundPart = Omit<Round, 'failures'>;

export const newRound = (): Round => ({ emitted: 0, more: false, failures: [] });

export function addTo(round: Round, { emitted, more }: RoundPart): void {
  round.emitted += emitted;
  round.more ||= more;
}

/** Does the part of a query in a transaction of its own. Where it fails, the other queries go on. @throws while the database is unavailable */
export async function addQuery(round: Round, plan: Plan, work: () => Promise<RoundPart>): Promise<void> {
  try {
    addTo(round, await work());
  } catch (error) {
    if (isUnavailable(error)) throw error;
    round.failures.push({ plan, error: toError(error) });
  }
}
