import { setTimeout as delay } from 'node:timers/promises';

/** Where the runtime has the time from, so that tests can have their own. */
export interface Clock {
  /** milliseconds since 1970 */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` after `ms` milliseconds. @returns what cancels it */
  after(ms: number, run: () => void): () => void;
}

/** The machine's own time; a step of the machine's clock is not seen, so that no lease runs out by it. */
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

/** A time as the API writes it in most places: whole seconds. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** A time as leases and events have it: microseconds. */
export function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}
