import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 10;

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
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer as NonNullable<Exclude<T, false>>;
    if (performance.now() > end)
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
    await sleep(pollMs);
  }
}

/** Asks again and again. Resolves with the first answer that is no error. @throws the last error if there is none in time */
export async function untilPasses<T>(check: () => T | Promise<T>, withinMs = 30_000): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
    }
    await sleep(pollMs);
  }
}
