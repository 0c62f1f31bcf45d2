import { eventually } from '#test/eventually.ts';
import type { Clock } from '../clock.ts';

interface Timer {
  at: number;
  run: () => void;
}

/** A clock that stands still until a test advances it. */
export class ManualClock implements Clock {
  #now: number;
  readonly #timers = new Set<Timer>();

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Lets time pass until it is so. @param stepMs how much passes before each look, in milliseconds */
  until<T>(check: () => T | Promise<T>, what: string, stepMs = 1_000): Promise<NonNullable<Exclude<T, false>>> {
    return eventually(async () => {
      await this.advance(stepMs);
      return await check();
    }, what);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const cancel = this.after(ms, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        reject(signal.reason as Error);
      });
    });
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** when the next timer runs */
  get next(): number {
    return Math.min(...[...this.#timers].map(({ at }) => at));
  }

  /** Lets time pass: timers run in the order of their times, and promises settle between them. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Resolves when promises that need no I/O have settled. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
