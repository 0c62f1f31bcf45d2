import { PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { metrics } from './metrics.ts';

/** Whether the database of an inbox is available: reports changes to the log, and the state and each failure to metrics. */
export class Availability {
  readonly #group: string;
  readonly #log: Logger;
  #error: Error | undefined;
  /** attempts since it became unavailable */
  #failures = 0;

  constructor({ group, log }: { group: string; log: Logger }) {
    this.#group = group;
    this.#log = log;
  }

  /** @param error why the database is unavailable, undefined where it is available */
  set(error: Error | undefined): void {
    const group = this.#group;
    if (error) {
      if (!this.#error) this.#log.warn({ err: error, group }, 'the inbox waits for its database');
      this.#failures += 1;
      metrics.waited.inc({ group });
    } else if (this.#error) {
      this.#log.info({ group, failures: this.#failures }, 'the database of the inbox is available again');
      this.#failures = 0;
    }
    this.#error = error;
    metrics.paused.set({ group }, error ? 1 : 0);
  }

  /** @throws while the database is unavailable */
  check(): void {
    if (this.#error) {
      throw new PlatformError('ERR_DATABASE_AWAY', `the database is unavailable: ${this.#error.message}`, {
        cause: this.#error,
      });
    }
  }
}
