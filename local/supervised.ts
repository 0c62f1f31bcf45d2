import { setTimeout as delay } from 'node:timers/promises';

import { messageOf } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';

/** A part that runs until it is stopped or dies. */
export interface Running {
  /** Its process, if it is a child process. */
  pid?: number | undefined;
  /** Resolves with a sentence if it ends without a request. */
  died: Promise<string>;
  /** Asks it to end and waits for the end; may be called again. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

/** The arguments of a start. */
export interface Start {
  /** Ends the start. */
  signal: AbortSignal;
  /** Whether it ran before: it has to be there again, and what it uses need not be. */
  isRestart: boolean;
  /**
   * Set if an old one may run. Call it as soon as the new one needs the port of the old one: it asks the old one to end,
   * without waiting, and returns it. If the start fails before, the old one keeps running.
   */
  replaceOld?: (running: Running) => Running | undefined;
}

const BACKOFF = { firstMs: 500, maxMs: 10_000 };
/** A run of this length resets the pause. */
const HEALTHY_MS = 30_000;

/** Supervises a part: restarts it when it dies, after a pause that grows with each attempt. */
export class Supervised {
  readonly name: string;
  readonly #start: (start: Start) => Promise<Running>;
  readonly #say: (level: 'info' | 'warn' | 'error', line: string) => void;
  readonly #stopping = new AbortController();
  readonly #stopped: Promise<void>;
  /** Requested to end, possibly before its start. */
  readonly #retired = new Set<Running>();
  #replaced = new AbortController();
  #isReplaced = Promise.withResolvers<void>();
  #running: Running | undefined;
  #loop: Promise<void> | undefined;
  #deaths = 0;
  #since = Date.now();

  constructor(
    name: string,
    start: (start: Start) => Promise<Running>,
    say: (level: 'info' | 'warn' | 'error', line: string) => void,
  ) {
    this.name = name;
    this.#start = start;
    this.#say = say;
    this.#stopped = new Promise((resolve) => this.#stopping.signal.addEventListener('abort', () => resolve()));
  }

  get pid(): number | undefined {
    return this.#running?.pid;
  }

  /** The first start; it throws a failure and does not retry. */
  async start(): Promise<void> {
    this.#running = await this.#start({ signal: this.#stopping.signal, isRestart: false });
    this.#loop = this.#watch();
  }

  /**
   * Replaces the running one. If the new one cannot start, it does not retry until the next call. A call also aborts a
   * running start.
   */
  replace(): void {
    this.#replaced.abort();
    this.#isReplaced.resolve();
  }

  /** Stops it for good. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#all().map((one) => one.stop()));
    await this.#loop;
  }

  kill(): void {
    this.#stopping.abort();
    for (const one of this.#all()) one.kill();
  }

  #all(): Running[] {
    return this.#running ? [this.#running, ...this.#retired] : [...this.#retired];
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const died = this.#running?.died.then((sentence) => ({ sentence }));
      const end = await Promise.race([this.#stopped, this.#isReplaced.promise, ...(died ? [died] : [])]);
      if (signal.aborted) return;
      if (this.#replaced.signal.aborted) await this.#startOther();
      else if (end) await this.#revive(end.sentence);
    }
  }

  async #startOther(): Promise<void> {
    const began = performance.now();
    const before = this.#running;
    this.#replaced = new AbortController();
    this.#isReplaced = Promise.withResolvers();
    const signal = AbortSignal.any([this.#replaced.signal, this.#stopping.signal]);
    try {
      await this.#start({ signal, isRestart: true, replaceOld: (running) => this.#replaceOld(running) });
      this.#since = Date.now();
      this.#say('info', `${this.name} is replaced after ${((performance.now() - began) / 1000).toFixed(2)} s`);
    } catch (error) {
      // A new one that has already replaced the old one keeps running until the next one replaces it.
      if (signal.aborted) return;
      if (this.#running !== before) this.#running = undefined;
      this.#say('error', error instanceof Error ? error.message : String(error));
      this.#say('warn', `${this.name} ${this.#running ? 'keeps the old process' : 'is down'} until its source changes`);
    }
  }

  #replaceOld(running: Running): Running | undefined {
    const old = this.#running;
    this.#running = running;
    if (old) {
      this.#retired.add(old);
      void old.stop().finally(() => this.#retired.delete(old));
    }
    return old;
  }

  /** Restarts a part that has died, until it runs or is stopped or replaced. */
  async #revive(sentence: string): Promise<void> {
    const { signal } = this.#stopping;
    this.#say('error', sentence);
    this.#running = undefined;
    if (Date.now() - this.#since > HEALTHY_MS) this.#deaths = 0;
    while (this.#running === undefined) {
      const waitMs = backoffMs((this.#deaths += 1), BACKOFF);
      this.#say('warn', `${this.name} is started again in ${waitMs / 1000} s`);
      const wanted = AbortSignal.any([signal, this.#replaced.signal]);
      await delay(waitMs, undefined, { signal: wanted }).catch(() => undefined);
      if (wanted.aborted) return;
      this.#since = Date.now();
      await this.#startAgain(wanted);
      if (wanted.aborted) return;
    }
  }

  async #startAgain(signal: AbortSignal): Promise<void> {
    try {
      const running = await this.#start({ signal, isRestart: true });
      this.#running = running;
      if (this.#stopping.signal.aborted) await running.stop();
      else this.#say('info', `${this.name} is running again`);
    } catch (error) {
      if (!signal.aborted) this.#say('error', messageOf(error));
    }
  }
}
