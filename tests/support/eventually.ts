import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 10;
/** how long any wait may take: a process whose tests are to fail sooner than they would themselves gets it from whoever starts it */
const longestMs = Number(process.env['MILLRACE_TEST_LONGEST_WAIT_MS'] ?? Number.POSITIVE_INFINITY);

/**
 * Asks again and again. Resolves with the first truthy answer.
 * @param what names the condition in the error
 * @throws if there is no such answer in time, and at once what the check throws
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string | (() => string) = String(check),
  withinMs = 30_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const forMs = Math.min(withinMs, longestMs);
  const end = performance.now() + forMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer as NonNullable<Exclude<T, false>>;
    if (performance.now() > end) throw new Error(`not within ${forMs} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(pollMs);
  }
}

/** Asks again and again. Resolves with the first answer that is no error. @throws the last error if there is none in time */
export async function untilPasses<T>(check: () => T | Promise<T>, withinMs = 30_000): Promise<T> {
  const end = performance.now() + Math.min(withinMs, longestMs);
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await sleep(pollMs);
  }
}
