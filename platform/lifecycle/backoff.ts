/** How the pauses between attempts grow, in milliseconds. */
export interface BackoffOptions {
  /** after the first failure */
  firstMs: number;
  /** at most */
  maxMs: number;
  /** the random part of a pause, from 0 to 1, so that parts that failed together do not retry together; default 0 */
  jitter?: number;
}

/**
 * The pause after that many failures in a row, in milliseconds: it doubles from `firstMs` up to `maxMs`.
 * @param random from 0 to 1
 */
export function backoffMs(
  failures: number,
  { firstMs, maxMs, jitter = 0 }: BackoffOptions,
  random = Math.random(),
): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
  return full * (1 - jitter + jitter * random);
}
