import { messageOf } from '#platform/errors';

import { setTimeout as delay } from 'node:timers/promises';

/** Something that runs until it is stopped or dies. */
export interface Running {
  /** Its process, where it is a child of ours. */
  pid?: number | undefined;
  /** Resolves with a sentence when it ends without having been asked to. */
  died: Promise<string>;
  /** Asks it to end and waits until it has; may be called again. */
  stop(): Promise<void>;
  /** Ends it at once. */
  kill(): void;
}

/** What a start is told. */
export interface Start {
  /** Ends the start. */
  signal: AbortSignal;
  /**
   * Set where one may run whose place the new one takes. To be called as soon as the new one needs the place: it asks the
   * other one to end, without waiting, and returns it. A start that fails before leaves the other one running.
   */
  takePlace?: (running: Running) => Running | undefined;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** A run of this length makes the next pause the shortest again. */
const HEALTHY_MS = 30_000;

/** Supervises something that runs: when it dies, it starts again, after a pause that grows from attempt to attempt. */
export class Supervised {
  readonly name: string;
  readonly #start: (start: Start) => Promise<Running>;
  readonly #say: (level: 'info' | 'warn' | 'error', line: string) => void;
  readonly #stopping = new AbortController();
  readonly #stopped: Promise<void>;
  /** Asked to end, and possibly not there yet. */
  readonly #retired = new Set<Running>();
  #replaced = new AbortController();
  #isReplaced = Promise.withResolvers<void>();
  #running: Running | undefined;
  #loop: Promise<void> | undefined;
  #wait = FIRST_WAIT_MS;
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

  /** The first start; what fails here is thrown, not tried again. */
  async start(): Promise<void> {
    this.#running = await this.#start({ signal: this.#stopping.signal });
    this.#loop = this.#watch();
  }

  /**
   * Puts a new one in the place of the one that runs. Where the new one cannot be started, nothing is tried again until the
   * next call, which also ends a start that is under way.
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
      await this.#start({ signal, takePlace: (running) => this.#takePlace(running) });
      this.#since = Date.now();
      this.#say('info', `${this.name} is replaced after ${((performance.now() - began) / 1000).toFixed(2)} s`);
    } catch (error) {
      // One that has the place already, and is to be replaced itself, keeps it until then.
      if (signal.aborted) return;
      if (this.#running !== before) this.#running = undefined;
      this.#say('error', error instanceof Error ? error.message : String(error));
      this.#say('warn', `${this.name} ${this.#running ? 'goes on as it was' : 'is down'} until its source changes`);
    }
  }

  #takePlace(running: Running): Running | undefined {
    const old = this.#running;
    this.#running = running;
    if (old) {
      this.#retired.add(old);
      void old.stop().finally(() => this.#retired.delete(old));
    }
    return old;
  }

  /** Starts what has died again, until it runs or something else is wanted. */
  async #revive(sentence: string): Promise<void> {
    const { signal } = this.#stopping;
    this.#say('error', sentence);
    this.#running = undefined;
    if (Date.now() - this.#since > HEALTHY_MS) this.#wait = FIRST_WAIT_MS;
    while (this.#running === undefined) {
      this.#say('warn', `${this.name} is started again in ${this.#wait / 1000} s`);
      const wanted = AbortSignal.any([signal, this.#replaced.signal]);
      await delay(this.#wait, undefined, { signal: wanted }).catch(() => undefined);
      if (wanted.aborted) return;
      this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
      this.#since = Date.now();
      await this.#startAgain(wanted);
      if (wanted.aborted) return;
    }
  }

  async #startAgain(signal: AbortSignal): Promise<void> {
    try {
      const running = await this.#start({ signal });
      this.#running = running;
      if (this.#stopping.signal.aborted) await running.stop();
      else this.#say('info', `${this.name} is running again`);
    } catch (error) {
      if (!signal.aborted) this.#say('error', messageOf(error));
    }
  }
}
