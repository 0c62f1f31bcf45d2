import { backoffMs } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';

/**
 * After a refusal that is the mail's own, or that of a server that takes so many mails an hour and no more: about two days in all;
 * the last failure is final.
 */
const ownRefusal = { firstMs: 5_000, maxMs: 3_600_000, jitter: 0.5, maxAttempts: 80 };
/**
 * After the answer to a mail is missing, whatever becomes of the others. Each attempt may be another copy, and the server may be
 * broken over a weekend: few attempts, whose pauses double to the end, two to four days in all.
 */
const noAnswer: BackoffOptions = { firstMs: 5_000, maxMs: Number.POSITIVE_INFINITY, jitter: 0.5 };
const maxCopies = 17;
/** After a refusal while the server takes no mail: they go out within a minute of its return. */
const serverRefusalMs = 60_000;
/** For a recipient that is not known yet: its event comes by another topic, usually within milliseconds. */
const unknownRecipient = { firstMs: 250, maxMs: 600_000 };

/**
 * Milliseconds until the next attempt of a mail whose refusal counts; undefined after the last one. Here and below they are
 * half to all of the pause, by `random` in [0, 1), so that mails that failed together are not tried together again.
 *
 * @param attempts the number of attempts that count, this one too
 */
export function retryDelay(attempts: number, random: number = Math.random()): number | undefined {
  if (attempts >= ownRefusal.maxAttempts) return undefined;
  return Math.round(backoffMs(attempts, ownRefusal, random));
}

/**
 * Milliseconds until the next attempt of a mail that was handed over without an answer; undefined after the last one.
 *
 * @param copies how often it was, this time too
 */
export function retryOfCopy(copies: number, random: number = Math.random()): number | undefined {
  if (copies >= maxCopies) return undefined;
  return Math.round(backoffMs(copies, noAnswer, random));
}

/**
 * Milliseconds until the next attempt of a mail whose refusal does not count: about as long as the server has refused mails, within a
 * minute if it takes none, and within an hour if nobody knows.
 *
 * @param attempts the number of attempts that count
 */
export function retryOfRefused(
  { refusedForMs, isOfServer }: { refusedForMs: number; isOfServer: boolean },
  attempts: number,
  random: number = Math.random(),
): number {
  const own = attempts > 0 ? backoffMs(attempts, ownRefusal, random) : 0;
  const bounds = { firstMs: ownRefusal.firstMs, maxMs: isOfServer ? serverRefusalMs : ownRefusal.maxMs };
  return Math.round(Math.max(own, asLongAs(refusedForMs, bounds, random)));
}

/** Milliseconds until a mail looks for its recipient again: about as long as it has waited, up to 10 minutes. */
export function retryOfUnknown(ageMs: number, random: number = Math.random()): number {
  return Math.round(asLongAs(ageMs, unknownRecipient, random));
}

/** A pause about as long as what has passed, within bounds: half to all of it. */
function asLongAs(ms: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }, random: number): number {
  return Math.min(maxMs, Math.max(firstMs, ms)) * (0.5 + random / 2);
}
