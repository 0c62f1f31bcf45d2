import { RuntimeError } from './catalogue.ts';
import { backoffMs } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';
import type { Clock } from './clock.ts';
import { retryAfterOf } from './errors.ts';

/** What comes of the work on a key. `requeueAfterMs`: look again then, though nothing changes. */
export interface Result {
  requeueAfterMs?: number | undefined;
}

/** What was done: for metrics and the log. */
export interface Outcome {
  key: string;
  error: unknown;
  /** how often in a row it has failed */
  failures: number;
  /** how long it waited for its turn, and how long it took, in milliseconds */
  waitedMs: number;
  tookMs: number;
}

export interface WorkQueueOptions {
  work: (key: string, signal: AbortSignal) => Promise<Result | void>;
  /** keys worked on at the same time */
  concurrency: number;
  clock: Clock;
  backoff?: BackoffOptions;
  onDone?: (outcome: Outcome) => void;
}

interface Waiting {
  since: number;
  /** dequeued before those that are not urgent */
  urgent: boolean;
}

const defaultBackoff: BackoffOptions = { firstMs: 200, maxMs: 60_000 };

/**
 * Works on keys: each once however often it is added while it waits, never twice at the same time, again if it is added
 * meanwhile, and again with backoff after it has failed. Urgent keys overtake the others, so that a change does not wait
 * behind a resync of everything.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #backoff: BackoffOptions;
  /** in the order in which they came, which Map keeps */
  readonly #urgent = new Map<string, Waiting>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #working = new Map<string, number>();
  readonly #again = new Map<string, Waiting>();
  readonly #timers = new Map<string, () => void>();
  readonly #failures = new Map<string, number>();
  #running: AbortController | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? defaultBackoff;
  }

  /** Keys that wait for their turn; those that wait for a time are not among them. */
  get depth(): number {
    return this.#urgent.size + this.#waiting.size + this.#again.size;
  }

  /** Keys in hand. */
  get working(): number {
    return this.#working.size;
  }

  /** How long the oldest piece of work has been in hand, in milliseconds. */
  get longestMs(): number {
    const begins = [...this.#working.values()];
    return begins.length === 0 ? 0 : this.#options.clock.now() - Math.min(...begins);
  }

  add(key: string, { urgent = true }: { urgent?: boolean } = {}): void {
    const waiting: Waiting = { since: this.#options.clock.now(), urgent };
    if (this.#working.has(key)) {
      const again = this.#again.get(key);
      if (!again) this.#again.set(key, waiting);
      else again.urgent ||= urgent;
      return;
    }
    if (this.#urgent.has(key)) return;
    const known = this.#waiting.get(key);
    if (known && !urgent) return;
    this.#waiting.delete(key);
    (urgent ? this.#urgent : this.#waiting).set(key, known ? { ...known, urgent } : waiting);
    this.#pump();
  }

  /** Adds a key after a time; the earlier of two times counts. */
  addAfter(key: string, ms: number): void {
    this.#timers.get(key)?.();
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, cancel);
  }

  /** Begins to work; keys may have been added before. */
  start(): void {
    this.#running ??= new AbortController();
    this.#pump();
  }

  /** Tells the work in hand to end, waits for it, and keeps what waits for a later start. */
  async stop(): Promise<void> {
    this.#running?.abort(new RuntimeError('ERR_OPERATOR_STOPPING', 'the queue stops'));
    this.#running = undefined;
    if (this.#working.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** Forgets every key, and what waits for a time. */
  clear(): void {
    for (const cancel of this.#timers.values()) cancel();
    for (const keys of [this.#urgent, this.#waiting, this.#again, this.#timers, this.#failures]) keys.clear();
  }

  #pump(): void {
    const { concurrency } = this.#options;
    while (this.#running && this.#working.size < concurrency) {
      const queue = this.#urgent.size > 0 ? this.#urgent : this.#waiting;
      const next = queue.entries().next().value;
      if (!next) return;
      queue.delete(next[0]);
      void this.#work(...next, this.#running.signal);
    }
  }

  async #work(key: string, { since }: Waiting, signal: AbortSignal): Promise<void> {
    const { work, clock, onDone } = this.#options;
    const begin = clock.now();
    this.#working.set(key, begin);
    this.#timers.get(key)?.(); // a look that was planned for later is this one
    this.#timers.delete(key);
    let result: Result | void = undefined;
    let error: unknown;
    try {
      result = await work(key, signal);
    } catch (thrown) {
      error = thrown ?? new RuntimeError('ERR_OPERATOR_THROWN', 'something that is no error was thrown');
    }
    this.#working.delete(key);
    if (signal.aborted && error !== undefined)
      this.add(key); // it was told to end: for whoever starts again
    else this.#planNext(key, error, result?.requeueAfterMs);
    onDone?.({
      key,
      error,
      failures: this.#failures.get(key) ?? 0,
      waitedMs: begin - since,
      tookMs: clock.now() - begin,
    });
    const again = this.#again.get(key);
    this.#again.delete(key);
    if (again) this.add(key, again);
    if (this.#working.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
    this.#pump();
  }

  #planNext(key: string, error: unknown, requeueAfterMs: number | undefined): void {
    if (error === undefined) {
      this.#failures.delete(key);
      if (requeueAfterMs !== undefined) this.addAfter(key, requeueAfterMs);
      return;
    }
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    this.addAfter(key, Math.max(backoffMs(failures, { jitter: 0.5, ...this.#backoff }), retryAfterOf(error)));
  }
}
