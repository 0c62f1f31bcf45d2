import { setTimeout as delay } from 'node:timers/promises';

/** Something that runs until it is stopped or dies. */
export interface Running {
  /** Its process, where it is a child of ours. */
  pid?: number | undefined;
  /** Resolves with a sentence when it ends without having been asked to. */
  died: Promise<string>;
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** A run of this length makes the next pause the shortest again. */
const HEALTHY_MS = 30_000;

/** Supervises something that runs: when it dies, it starts again, after a pause that grows from attempt to attempt. */
export class Supervised {
  readonly name: string;
  readonly #start: (signal: AbortSignal) => Promise<Running>;
  readonly #say: (level: 'info' | 'warn' | 'error', line: string) => void;
  readonly #stopping = new AbortController();
  #running: Running | undefined;
  #loop: Promise<void> | undefined;

  constructor(
    name: string,
    start: (signal: AbortSignal) => Promise<Running>,
    say: (level: 'info' | 'warn' | 'error', line: string) => void,
  ) {
    this.name = name;
    this.#start = start;
    this.#say = say;
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }

  /** The first start; what fails here is thrown, not tried again. */
  async start(): Promise<void> {
    this.#running = await this.#start(this.#stopping.signal);
    this.#loop = this.#watch();
  }

  /** Stops it for good. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running?.stop();
    await this.#loop;
  }

  kill(): void {
    this.#stopping.abort();
    this.#running?.kill();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    const stopped = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
    let wait = FIRST_WAIT_MS;
    let since = Date.now();
    while (!signal.aborted) {
      const sentence = this.#running ? await Promise.race([this.#running.died, stopped]) : undefined;
      if (signal.aborted) return;
      if (sentence !== undefined) this.#say('error', sentence);
      this.#running = undefined;
      if (Date.now() - since > HEALTHY_MS) wait = FIRST_WAIT_MS;
      this.#say('warn', `${this.name} is started again in ${wait / 1000} s`);
      await delay(wait, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      since = Date.now();
      await this.#startAgain(signal);
    }
  }

  async #startAgain(signal: AbortSignal): Promise<void> {
    try {
      const running = await this.#start(signal);
      this.#running = running;
      if (signal.aborted) await running.stop();
      else this.#say('info', `${this.name} is running again`);
    } catch (error) {
      if (!signal.aborted) this.#say('error', error instanceof Error ? error.message : String(error));
    }
  }
}
