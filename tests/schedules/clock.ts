import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const timersPromises = createRequire(import.meta.url)('node:timers/promises') as { setTimeout: unknown };

/** The timers of the machine, for what must not wait for the simulated time. */
export const machine = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  now: performance.now.bind(performance),
};

interface Timer {
  id: number;
  due: number;
  /** of an interval, in milliseconds */
  every: number | undefined;
  run: () => void;
  /** false once whoever set it is gone */
  isLive: () => boolean;
}

/**
 * A clock that stands still until it is moved. While it is installed, the timers, `performance.now` and `Date.now` of this process
 * are its own; the classes of timers are as the platform uses them, and no more.
 */
export class SimulatedClock {
  readonly #timers = new Map<number, Timer>();
  /** what is installed in place of the machine's, with how to put that back */
  readonly #restore: (() => void)[] = [];
  readonly #base: number;
  readonly #liveness: () => () => boolean;
  #now = 0;
  /** far from those of the machine's timers */
  #ids = 2 ** 40;
  #immediates = 0;

  /**
   * @param base what `Date.now` says at the start
   * @param liveness called when a timer is set: returns whether whoever sets it is still there
   */
  constructor(base: number, liveness: () => () => boolean) {
    this.#base = base;
    this.#liveness = liveness;
  }

  /** Milliseconds since the last `reset`. */
  get now(): number {
    return this.#now;
  }

  /** What `Date.now` says. */
  get date(): number {
    return this.#base + Math.floor(this.#now);
  }

  /** How many callbacks of `setImmediate` have not run. */
  get immediates(): number {
    return this.#immediates;
  }

  /** Begins anew, without a timer. */
  reset(): void {
    this.#timers.clear();
    this.#now = 0;
  }

  /** When the next timer is due. */
  get next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { due } of this.#timers.values()) next = Math.min(next, due);
    return next;
  }

  /** Moves the time on, and runs the first of the timers that are due, if any. @returns whether there was one */
  moveTo(time: number): boolean {
    this.#now = Math.max(this.#now, time);
    let first: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (!timer.isLive()) this.#timers.delete(timer.id);
      else if (timer.due <= this.#now && (!first || timer.due < first.due)) first = timer;
    }
    if (!first) return false;
    if (first.every === undefined) this.#timers.delete(first.id);
    else first.due = this.#now + first.every;
    first.run();
    return true;
  }

  install(): void {
    const set = this.#set.bind(this);
    const clear = (handle: unknown) => {
      if (!this.#timers.delete(Number(handle))) machine.clearTimeout(handle as NodeJS.Timeout);
    };
    this.#replace(globalThis, 'setTimeout', (run: () => void, ms = 0) => this.#handle(set(run, ms)));
    this.#replace(globalThis, 'setInterval', (run: () => void, ms = 0) => this.#handle(set(run, ms, ms)));
    this.#replace(globalThis, 'clearTimeout', clear);
    this.#replace(globalThis, 'clearInterval', clear);
    this.#replace(globalThis, 'setImmediate', (run: () => void) => {
      this.#immediates += 1;
      return machine.setImmediate(() => {
        this.#immediates -= 1;
        run();
      });
    });
    this.#replace(performance, 'now', () => this.#now);
    this.#replace(Date, 'now', () => this.date);
    this.#replace(timersPromises, 'setTimeout', this.#sleep.bind(this));
    syncBuiltinESMExports();
  }

  uninstall(): void {
    for (const restore of this.#restore.splice(0).toReversed()) restore();
    syncBuiltinESMExports();
  }

  #replace<T extends object>(owner: T, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value, configurable: true, writable: true });
    this.#restore.push(() => {
      if (before) Object.defineProperty(owner, name, before);
      else delete (owner as Record<string, unknown>)[name];
    });
  }

  #set(run: () => void, ms: number, every?: number): number {
    const id = (this.#ids += 1);
    const inContext = AsyncLocalStorage.snapshot();
    const due = this.#now + Math.max(1, ms);
    this.#timers.set(id, { id, due, every, run: () => inContext(run), isLive: this.#liveness() });
    return id;
  }

  /** What stands for a timer of Node. */
  #handle(id: number) {
    const handle = { ref: () => handle, unref: () => handle, hasRef: () => true, [Symbol.toPrimitive]: () => id };
    return handle;
  }

  #sleep<T>(ms = 0, value?: T, { signal }: { signal?: AbortSignal } = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = () => {
        this.#timers.delete(id);
        reject(Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' }));
      };
      const id = this.#set(() => {
        signal?.removeEventListener('abort', fail);
        resolve(value as T);
      }, ms);
      if (signal?.aborted) fail();
      else signal?.addEventListener('abort', fail, { once: true });
    });
  }
}
