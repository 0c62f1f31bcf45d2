import { backoffMs } from '#platform/lifecycle';

/** How a mail that could not be sent is tried again. */
export interface RetryPolicy {
  /** attempts in all; the last failure is final */
  maxAttempts: number;
  /** milliseconds before the second attempt; doubles with each further one */
  firstMs: number;
  /** milliseconds at most */
  maxMs: number;
}

/** A server that refused for now, or a connection that broke: about three hours in all (greylisting takes minutes). */
export const smtpRetry: RetryPolicy = { maxAttempts: 12, firstMs: 5_000, maxMs: 3_600_000 };

/** A recipient not yet known: its event comes by another topic, as a rule within milliseconds. */
export const recipientRetry: RetryPolicy = { maxAttempts: 14, firstMs: 250, maxMs: 3_600_000 };

/**
 * Milliseconds until the next attempt, undefined where the one before was the last. Between half and the whole of the
 * exponential delay, by `random` in [0, 1), so that mails that failed together do not come back together.
 *
 * @param attempts how many there were
 */
export function retryDelay(policy: RetryPolicy, attempts: number, random: number = Math.random()): number | undefined {
  if (attempts >= policy.maxAttempts) return undefined;
  return Math.round(backoffMs(attempts, { ...policy, jitter: 0.5 }, random));
}
