import { backoffMs } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';

/** The most attempts of a mail that the server refuses while it takes others; the last failure is final. */
const maxAttempts = 12;
/** After a refusal that is the mail's own: about three hours in all (greylisting takes minutes). */
const ownRefusal: BackoffOptions = { firstMs: 5_000, maxMs: 3_600_000, jitter: 0.5 };
/** After a refusal while the server takes no mail: they go out within a minute of its return. */
const serverRefusal: BackoffOptions = { firstMs: 5_000, maxMs: 60_000, jitter: 0.5 };
/** For a recipient that is not known yet: its event comes by another topic, usually within milliseconds. */
const unknownRecipient = { firstMs: 250, maxMs: 600_000 };

/**
 * Milliseconds until the next attempt of a mail whose refusal counts; undefined after the last one. Here and below they are
 * half to all of the pause, by `random` in [0, 1), so that mails that failed together are not tried together again.
 *
 * @param attempts the number of attempts that count, this one too
 */
export function retryDelay(attempts: number, random: number = Math.random()): number | undefined {
  if (attempts >= maxAttempts) return undefined;
  return Math.round(backoffMs(attempts, ownRefusal, random));
}

/**
 * Milliseconds until the next attempt of a mail whose refusal does not count.
 *
 * @param rounds how often the server has refused mails since it took one
 * @param attempts the number of attempts that count
 * @param mayHaveArrived whether the mail was handed over, and only the answer is missing: the recipient may get it each time,
 *   so that the pauses grow to an hour
 */
export function retryOfRefused(
  rounds: number,
  attempts: number,
  mayHaveArrived: boolean,
  random: number = Math.random(),
): number {
  const own = attempts > 0 ? backoffMs(attempts, ownRefusal, random) : 0;
  return Math.round(Math.max(own, backoffMs(rounds, mayHaveArrived ? ownRefusal : serverRefusal, random)));
}

/** Milliseconds until a mail looks for its recipient again: about as long as it has waited, up to 10 minutes. */
export function retryOfUnknown(ageMs: number, random: number = Math.random()): number {
  const full = Math.min(unknownRecipient.maxMs, Math.max(unknownRecipient.firstMs, ageMs));
  return Math.round(full * (0.5 + random / 2));
}
