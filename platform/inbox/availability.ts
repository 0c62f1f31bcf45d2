import { PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { metrics } from './metrics.ts';

/**
 * Whether an inbox waits for its database: reports changes to the log, and the state and each failure to metrics. It knows nothing of
 * partitions that wait alone: they would hide an outage.
 */
export class Availability {
  readonly #group: string;
  readonly #log: Logger;
  /** the last failure of each piece of work that is tried again */
  readonly #waiting = new Map<symbol, Error>();
  /** attempts since something waits */
  #failures = 0;

  constructor({ group, log }: { group: string; log: Logger }) {
    this.#group = group;
    this.#log = log;
  }

  /**
   * Does work that is tried again while the database is unavailable. Nothing waits for the database on its account when it has ended,
   * however it has: nobody else would say so where a rebalance has ended it.
   * @param work calls `failed` with the error of each attempt that the database has failed
   */
  async during<T>(work: (failed: (error: Error) => void) => Promise<T>): Promise<T> {
    const own = Symbol('work');
    try {
      return await work((error) => this.#wait(own, error));
    } finally {
      this.#end(own);
    }
  }

  #wait(work: symbol, error: Error): void {
    const group = this.#group;
    if (this.#waiting.size === 0) this.#log.warn({ err: error, group }, 'the inbox waits for its database');
    this.#failures += 1;
    this.#waiting.set(work, error);
    metrics.waited.inc({ group });
    metrics.paused.set({ group }, 1);
  }

  #end(work: symbol): void {
    const group = this.#group;
    const hasWaited = this.#waiting.delete(work);
    if (this.#waiting.size > 0) return;
    metrics.paused.set({ group }, 0);
    if (!hasWaited) return;
    this.#log.info({ group, failures: this.#failures }, 'the inbox no longer waits for its database');
    this.#failures = 0;
  }

  /** @throws while the database is unavailable */
  check(): void {
    const [error] = this.#waiting.values();
    if (!error) return;
    throw new PlatformError('ERR_DATABASE_AWAY', `the database is unavailable: ${error.message}`, { cause: error });
  }
}
