import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.ts';

/** For how long work may hold up everything else. */
const turnMs = 20;

/**
 * Works on many items in short turns, so that watches, other reconciles and the renewal of the lease go on meanwhile.
 * @throws the error of the work, or that of the signal
 */
export async function inTurns<T>(
  items: readonly T[],
  work: (item: T) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let begin = clock.now();
  for (const item of items) {
    work(item);
    if (clock.now() - begin < turnMs) continue;
    await nextTurn(undefined, { signal });
    begin = clock.now();
  }
}
