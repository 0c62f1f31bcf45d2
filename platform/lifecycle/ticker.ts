import { messageOf, PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { backoffMs } from './backoff.ts';

export interface TickerOptions {
  name: string;
  everyMs: number;
  log: Logger;
  /** @returns true where more is waiting: it is called again at once */
  run: () => Promise<boolean | void>;
}

/** pauses after failures, where these are longer than the usual one */
const backoff = { firstMs: 500, maxMs: 10_000 };
/** after this time without success the work is reported as stuck, where two rounds of it take no longer */
const stuckMs = 15_000;

/** Runs a piece of work again and again, never twice at a time. A failure slows it down; the log has the first of those in a row, and their end. */
export class Ticker {
  readonly #options: TickerOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #busy = false;
  #stopped = true;
  #again = false;
  #failures = 0;
  /** why it has failed the last time */
  #failure: unknown;
  /** since when no run has succeeded: the start of the first of them; undefined after a success */
  #since: number | undefined;

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#stopped = false;
    if (!this.#busy) this.#schedule(0); // a run that is under way makes the next one
  }

  /** Runs at once, and again where a run is under way. */
  wake(): void {
    if (this.#busy) this.#again = true;
    else this.#schedule(0);
  }

  /** Waits for the run under way and makes no other. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** @throws while it fails, or does not come to an end, for 15 s, or for two rounds where these take longer; not after a stop */
  check(): void {
    if (this.#stopped || this.#since === undefined) return;
    const { name, everyMs } = this.#options;
    const ms = performance.now() - this.#since;
    if (ms < Math.max(stuckMs, 2 * everyMs)) return;
    const reason = this.#failures > 0 ? messageOf(this.#failure) : 'it does not come to an end';
    throw new PlatformError(
      'ERR_WORK_STUCK',
      `"${name}" has not succeeded for ${Math.round(ms / 1_000)} s: ${reason}`,
      {
        cause: this.#failure,
      },
    );
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#tick();
    }, ms);
  }

  async #tick(): Promise<void> {
    const { name, everyMs, log, run } = this.#options;
    let pause = everyMs;
    this.#busy = true;
    try {
      do {
        this.#again = false;
        this.#since ??= performance.now();
        if ((await run()) === true) this.#again = true;
        this.#succeed();
      } while (this.#again && !this.#stopped);
    } catch (error) {
      this.#failures += 1;
      this.#failure = error;
      pause = Math.max(everyMs, backoffMs(this.#failures, backoff));
      // a stop may be what made it fail, and one that fails for days says so once
      const level = this.#stopped || this.#failures > 1 ? 'debug' : 'warn';
      log[level]({ err: error, work: name, failures: this.#failures }, 'a periodic piece of work failed');
    }
    this.#busy = false;
    this.#schedule(this.#again ? 0 : pause);
  }

  #succeed(): void {
    const { name, log } = this.#options;
    if (this.#failures > 0) log.info({ work: name, failures: this.#failures }, 'a periodic piece of work works again');
    this.#failures = 0;
    this.#failure = undefined;
    this.#since = undefined;
  }
}
