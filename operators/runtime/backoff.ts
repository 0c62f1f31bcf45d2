export interface BackoffOptions {
  /** the wait after the first failure */
  firstMs: number;
  /** the longest wait */
  maxMs: number;
}

/**
 * The wait before the next attempt after `failures` in a row. It doubles with each failure, and half of it is random, so that
 * clients that failed together do not come back together.
 * @param random from 0 to 1
 */
export function backoffMs(failures: number, { firstMs, maxMs }: BackoffOptions, random = Math.random()): number {
  const full = Math.min(maxMs, firstMs * 2 ** Math.min(30, Math.max(0, failures - 1)));
  return full / 2 + (full / 2) * random;
}
