import { isUnreachable } from '#platform/postgres';

/** How often a database is looked at, in milliseconds. */
export const lookEveryMs = 500;

/** A pod may run before the network lets it out: what a server refuses then, it may do a moment later. */
const refusedForMs = 30_000;

/** How long no server may answer: the Job of the operator makes five attempts, which survive an outage of an hour. */
const unreachableForMs = 12 * 60_000;

/** Milliseconds since some time, and a wait of so many. */
interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
}

/**
 * Returns when a database answers, or has not for too long: then the migration says why.
 * @param look fails where the database cannot be used
 * @param say is told why it waits when that changes
 */
export async function untilReachable(
  look: () => Promise<unknown>,
  say: (reason: string) => void,
  clock: Clock,
): Promise<void> {
  const begin = clock.now();
  for (let said: string | undefined; ; await clock.sleep(lookEveryMs)) {
    const error = await look().then(
      () => undefined,
      (reason: Error) => reason,
    );
    if (!error || clock.now() - begin >= (isUnreachable(error) ? unreachableForMs : refusedForMs)) return;
    if (error.message !== said) say((said = error.message));
  }
}
