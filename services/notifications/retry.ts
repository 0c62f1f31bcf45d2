import { backoffMs } from '#platform/lifecycle';

/** The retry policy of mails. */
export interface RetryPolicy {
  /** the most attempts; the last failure is final */
  maxAttempts: number;
  /** milliseconds before the second attempt; doubles with each further one */
  firstMs: number;
  /** the most milliseconds before an attempt */
  maxMs: number;
}

/** After a temporary refusal or a lost connection: about three hours in all (greylisting takes minutes). */
export const smtpRetry: RetryPolicy = { maxAttempts: 12, firstMs: 5_000, maxMs: 3_600_000 };

/** For a recipient that is not known yet: its event comes by another topic, usually within milliseconds. */
export const recipientRetry: RetryPolicy = { maxAttempts: 14, firstMs: 250, maxMs: 3_600_000 };

/**
 * Milliseconds until the next attempt; undefined after the last one. They are half to all of the exponential delay, by
 * `random` in [0, 1), so that mails that failed together are not retried together.
 *
 * @param attempts the number of attempts so far
 */
export function retryDelay(policy: RetryPolicy, attempts: number, random: number = Math.random()): number | undefined {
  if (attempts >= policy.maxAttempts) return undefined;
  return Math.round(backoffMs(attempts, { ...policy, jitter: 0.5 }, random));
}
