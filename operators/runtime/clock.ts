import { setTimeout as delay } from 'node:timers/promises';

/** The clock of the runtime; tests have one of their own. */
export interface Clock {
  /** milliseconds since 1970 */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms` milliseconds. @returns a function that cancels the call */
  after(ms: number, run: () => void): () => void;
}

/** The time of the machine. It ignores steps of the machine's clock: such a step must not end a lease. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  async sleep(ms, signal) {
    await delay(ms, undefined, signal ? { signal } : {});
  },
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** A time in the form of metav1.Time: whole seconds. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A time in the form of metav1.MicroTime, which leases and events have. */
export function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}
