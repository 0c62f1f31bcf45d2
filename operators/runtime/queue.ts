import { RuntimeError } from './catalogue.ts';
import { backoffMs } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';
import type { Clock } from './clock.ts';
import { retryAfterOf } from './errors.ts';

/** The result of a reconcile. */
export interface Result {
  /** reconciles the key again after this time, even if nothing has changed */
  requeueAfterMs?: number | undefined;
  /** reconciles the key again with a backoff of its own, as it has failed in a part, which is told elsewhere */
  retry?: boolean | undefined;
}

/** The end of the work on a key, for metrics and the log. */
export interface ProcessedKey {
  key: string;
  error: unknown;
  /** how often the key has failed in a row */
  failures: number;
  /** the time in the queue */
  waitedMs: number;
  /** the time of the work */
  tookMs: number;
}

interface WorkQueueOptions {
  work: (key: string, signal: AbortSignal) => Promise<Result | void>;
  /** how many keys are processed at the same time */
  concurrency: number;
  clock: Clock;
  backoff?: BackoffOptions;
  onDone?: (processed: ProcessedKey) => void;
}

interface Waiting {
  since: number;
  /** urgent keys overtake the others */
  urgent: boolean;
}

const defaultBackoff: BackoffOptions = { firstMs: 200, maxMs: 60_000 };

/**
 * A work queue of keys. A key that waits is processed once, however often it was added. No key is processed twice at the same
 * time: one that is added meanwhile is processed again afterwards. A key that fails is tried again with backoff. Urgent keys
 * overtake the others, so that a change does not wait behind a resync.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #backoff: BackoffOptions;
  /** Map keeps the order in which the keys were added */
  readonly #urgent = new Map<string, Waiting>();
  readonly #waiting = new Map<string, Waiting>();
  /** the keys in progress, with the time when their work began */
  readonly #processing = new Map<string, number>();
  /** the keys that were added while they were processed */
  readonly #dirty = new Map<string, Waiting>();
  readonly #timers = new Map<string, () => void>();
  readonly #failures = new Map<string, number>();
  /** how often each key has failed in a part in a row */
  readonly #retries = new Map<string, number>();
  #running: AbortController | undefined;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? defaultBackoff;
  }

  /** How many keys wait for their turn; those that wait for a time do not count. */
  get depth(): number {
    return this.#urgent.size + this.#waiting.size + this.#dirty.size;
  }

  /** For how many milliseconds the oldest key in progress has been processed. */
  get longestRunningMs(): number {
    const begins = [...this.#processing.values()];
    return begins.length === 0 ? 0 : this.#options.clock.now() - Math.min(...begins);
  }

  add(key: string, { urgent = true }: { urgent?: boolean } = {}): void {
    const waiting: Waiting = { since: this.#options.clock.now(), urgent };
    if (this.#processing.has(key)) {
      const again = this.#dirty.get(key);
      if (!again) this.#dirty.set(key, waiting);
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

  /** Adds a key after a time, which replaces an earlier call for this key. */
  addAfter(key: string, ms: number): void {
    this.#timers.get(key)?.();
    const cancel = this.#options.clock.after(ms, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, cancel);
  }

  /** Starts to process keys, those included that were added before. */
  start(): void {
    this.#running ??= new AbortController();
    this.#pump();
  }

  /** Aborts the keys in progress and waits for them. The keys that wait stay in the queue for a later start. */
  async stop(): Promise<void> {
    this.#running?.abort(new RuntimeError('ERR_OPERATOR_STOPPING', 'the queue stops'));
    this.#running = undefined;
    if (this.#processing.size === 0) return;
    this.#idle ??= Promise.withResolvers<void>();
    await this.#idle.promise;
  }

  /** Removes every key, those included that wait for a time. */
  clear(): void {
    for (const cancel of this.#timers.values()) cancel();
    const counts = [this.#failures, this.#retries];
    for (const keys of [this.#urgent, this.#waiting, this.#dirty, this.#timers, ...counts]) keys.clear();
  }

  #pump(): void {
    const { concurrency } = this.#options;
    while (this.#running && this.#processing.size < concurrency) {
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
    this.#processing.set(key, begin);
    this.#timers.get(key)?.(); // this run replaces the one that was planned
    this.#timers.delete(key);
    let result: Result | void = undefined;
    let error: unknown;
    try {
      result = await work(key, signal);
    } catch (thrown) {
      error = thrown ?? new RuntimeError('ERR_OPERATOR_THROWN', 'the work threw undefined');
    }
    this.#processing.delete(key);
    if (signal.aborted && error !== undefined)
      this.add(key); // it was aborted: the next start processes it
    else this.#planNext(key, error, result ?? {});
    onDone?.({
      key,
      error,
      failures: this.#failures.get(key) ?? 0,
      waitedMs: begin - since,
      tookMs: clock.now() - begin,
    });
    const again = this.#dirty.get(key);
    this.#dirty.delete(key);
    if (again) this.add(key, again);
    if (this.#processing.size === 0) {
      this.#idle?.resolve();
      this.#idle = undefined;
    }
    this.#pump();
  }

  #planNext(key: string, error: unknown, { requeueAfterMs, retry = false }: Result): void {
    if (error !== undefined) {
      this.addAfter(key, Math.max(this.#nextPause(this.#failures, key), retryAfterOf(error)));
      return;
    }
    this.#failures.delete(key);
    if (!retry) this.#retries.delete(key);
    const pause = retry ? this.#nextPause(this.#retries, key) : Infinity;
    const next = Math.min(pause, requeueAfterMs ?? Infinity);
    if (next < Infinity) this.addAfter(key, next);
  }

  /** How long a key waits that fails once more. */
  #nextPause(counts: Map<string, number>, key: string): number {
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return backoffMs(count, { jitter: 0.5, ...this.#backoff });
  }
}
