import { RuntimeError } from './catalogue.ts';
import type { BackoffOptions } from '#platform/lifecycle';
import { isConflict } from './errors.ts';
import type { Clock } from './clock.ts';
import type { Change, Informer } from './informer.ts';
import type { Log } from './log.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { keyOf } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { WorkQueue } from './queue.ts';
import type { Outcome, Result } from './queue.ts';

/** Brings the world closer to what an object says. Called for objects that are gone, too. */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<Result | void>;

export interface ControllerOptions {
  /** also names it in metrics */
  name: string;
  reconcile: Reconcile;
  clock: Clock;
  log: Log;
  metrics: RuntimeMetrics;
  /** keys reconciled at the same time; default 4 */
  concurrency?: number;
  backoff?: BackoffOptions;
}

/** A change of what is wanted, or a deletion; not one of a status. */
export function specChanged({ before, after }: Change<KubeObject>): boolean {
  const [old, now] = [before?.metadata, after?.metadata];
  return (
    old?.generation !== now?.generation || old?.deletionTimestamp !== now?.deletionTimestamp || old?.uid !== now?.uid
  );
}

/** A key of no object: its reconcile tells that the queue moves. */
const canary = '\0canary';
const canaryEveryMs = 10_000;
/** A canary that is older, or a reconcile that takes longer, tells that the controller is stuck. */
const stuckMs = 120_000;

/** A queue of keys, fed from caches, that are reconciled one by one while the process leads. */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #resyncs: (() => Iterable<string>)[] = [];
  #canaryAt: number | undefined;
  #canaryTimer: (() => void) | undefined;

  constructor(options: ControllerOptions) {
    const { name, clock, concurrency = 4, backoff } = options;
    this.name = name;
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (key, signal) => this.#work(key, signal),
      concurrency,
      clock,
      onDone: (outcome) => this.#onDone(outcome),
      ...(backoff ? { backoff } : {}),
    });
  }

  /** Reconciles the objects of a cache: each when it changes, and all of them when this process begins to lead. */
  watches<T extends KubeObject>(informer: Informer<T>): this {
    informer.onChange(({ before, after, initial }) => this.enqueue(keyOf((after ?? before)!), { urgent: !initial }));
    this.#resyncs.push(() => informer.store.keys());
    return this;
  }

  /** Reconciles the keys that a change of another object, before or after, concerns; `when` leaves changes out. */
  watchesFor<T extends KubeObject>(
    informer: Informer<T>,
    keysOf: (object: T) => readonly string[],
    when: (change: Change<T>) => boolean = () => true,
  ): this {
    informer.onChange((change) => {
      if (!when(change)) return;
      const { before, after, initial } = change;
      const keys = new Set([...(before ? keysOf(before) : []), ...(after ? keysOf(after) : [])]);
      for (const key of keys) this.enqueue(key, { urgent: !initial });
    });
    return this;
  }

  /** Adds keys to those that are reconciled when this process begins to lead. */
  resyncs(keys: () => Iterable<string>): this {
    this.#resyncs.push(keys);
    return this;
  }

  enqueue(key: string, options?: { urgent?: boolean }): void {
    this.#queue.add(key, options);
    this.#options.metrics.depth(this.name, this.#queue.depth);
  }

  /** Begins to reconcile: everything in its caches, as nobody knows how the process before left it. */
  start(): void {
    for (const keys of this.#resyncs) for (const key of keys()) this.enqueue(key, { urgent: false });
    this.#canaryAt = this.#options.clock.now();
    this.#sendCanary();
    this.#queue.start();
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#canaryTimer?.();
    this.#canaryAt = undefined;
    await this.#queue.stop();
    this.#queue.clear(); // a later start looks at everything again
  }

  /** @throws while it reconciles nothing though it should */
  check(): void {
    if (this.#canaryAt === undefined) return;
    const silentMs = this.#options.clock.now() - this.#canaryAt;
    if (silentMs > stuckMs)
      throw new RuntimeError('ERR_OPERATOR_STUCK', `${this.name}: no canary for ${Math.round(silentMs / 1000)} s`);
    if (this.#queue.longestMs > stuckMs) {
      throw new RuntimeError(
        'ERR_OPERATOR_STUCK',
        `${this.name}: a reconcile has taken ${Math.round(this.#queue.longestMs / 1000)} s`,
      );
    }
  }

  async #work(key: string, signal: AbortSignal): Promise<Result | void> {
    if (key !== canary) return this.#options.reconcile(key, signal);
    this.#canaryAt = this.#options.clock.now();
  }

  #sendCanary(): void {
    this.#queue.add(canary);
    this.#canaryTimer = this.#options.clock.after(canaryEveryMs, () => this.#sendCanary());
  }

  #onDone(outcome: Outcome): void {
    const { metrics, log } = this.#options;
    metrics.depth(this.name, this.#queue.depth);
    const { key, error, failures, tookMs } = outcome;
    if (key === canary) return;
    metrics.reconciled(this.name, outcome);
    if (error === undefined) log.debug({ controller: this.name, key, tookMs: Math.round(tookMs) }, 'reconciled');
    else if (isConflict(error))
      log.debug({ controller: this.name, key }, 'the cache was not the newest; it is tried again');
    else log.warn({ controller: this.name, key, failures, err: error }, 'a reconcile failed; it is tried again');
  }
}
