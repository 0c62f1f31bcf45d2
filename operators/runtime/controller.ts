import { RuntimeError } from './catalogue.ts';
import type { BackoffOptions } from '#platform/lifecycle';
import { equal } from './compare.ts';
import { isConflict, isRefusal } from './errors.ts';
import type { Clock } from './clock.ts';
import type { Change, Informer } from './informer.ts';
import type { Log } from './log.ts';
import type { RuntimeMetrics } from './metrics.ts';
import { keyOf } from './objects.ts';
import type { KubeObject } from './objects.ts';
import { WorkQueue } from './queue.ts';
import type { ProcessedKey, Result } from './queue.ts';

/** Brings the cluster closer to the desired state of an object. It is also called for objects that are gone. */
type Reconcile = (key: string, signal: AbortSignal) => Promise<Result | void>;

interface ControllerOptions {
  /** the label of its metrics, too */
  name: string;
  reconcile: Reconcile;
  /**
   * Tells people that the reconcile of a key fails. It is called at each failure that another attempt has not helped against or
   * cannot help against, and not for a stale cache.
   */
  onFailure?: (key: string, error: unknown, signal: AbortSignal) => Promise<void>;
  clock: Clock;
  log: Log;
  metrics: RuntimeMetrics;
  /** how many keys are reconciled at the same time; default 4 */
  concurrency?: number;
  backoff?: BackoffOptions;
}

/** Lets changes of a spec, of finalizers and deletions through, but no change of a status. */
export function specChanged({ before, after }: Change<KubeObject>): boolean {
  const [old, now] = [before?.metadata, after?.metadata];
  return (
    old?.generation !== now?.generation ||
    old?.deletionTimestamp !== now?.deletionTimestamp ||
    old?.uid !== now?.uid ||
    !equal(old?.finalizers, now?.finalizers)
  );
}

/** Lets changes of labels through, which somebody who is no controller makes. */
export function labelsChanged({ before, after }: Change<KubeObject>): boolean {
  return !equal(before?.metadata.labels, after?.metadata.labels);
}

/** A key of no object, whose reconcile shows that the queue works. */
const canary = '\0canary';
const canaryEveryMs = 10_000;
/** The controller is stuck where the last canary is older, or a reconcile takes longer. */
const stuckMs = 120_000;

/** How often a namespace is looked at that cannot be read, in milliseconds. */
const unreadMs = 5_000;

/** A work queue whose keys come from informers, and the function that reconciles them while the process leads. */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #resyncs: (() => Iterable<string>)[] = [];
  /** the keys whose last reconcile has failed */
  readonly #failing = new Set<string>();
  #canaryAt: number | undefined;
  #canaryTimer: (() => void) | undefined;
  #isUnread: (namespace: string) => boolean = () => false;

  constructor(options: ControllerOptions) {
    const { name, clock, concurrency = 4, backoff } = options;
    this.name = name;
    this.#options = options;
    this.#queue = new WorkQueue({
      work: (key, signal) => this.#work(key, signal),
      concurrency,
      clock,
      onDone: (processed) => this.#onDone(processed),
      ...(backoff ? { backoff } : {}),
    });
  }

  /**
   * Reconciles each object of the informer when it changes, and all of them when this process starts leading. `predicate` filters
   * changes: without it a reconcile that writes a status starts the next one.
   */
  for<T extends KubeObject>(informer: Informer<T>, predicate?: (change: Change<T>) => boolean): this {
    this.#resyncs.push(() => informer.store.keys());
    return this.watches(informer, (object) => [keyOf(object)], predicate);
  }

  /** Reconciles the keys that `keysOf` maps an object to when it changes, before and after; `predicate` filters changes. */
  watches<T extends KubeObject>(
    informer: Informer<T>,
    keysOf: (object: T) => readonly string[],
    predicate: (change: Change<T>) => boolean = () => true,
  ): this {
    informer.onChange((change) => {
      if (!predicate(change)) return;
      const { before, after, initial } = change;
      const keys = new Set([...(before ? keysOf(before) : []), ...(after ? keysOf(after) : [])]);
      for (const key of keys) this.enqueue(key, { urgent: !initial });
    });
    return this;
  }

  /** Reconciles these keys, too, when this process starts leading. */
  resyncs(keys: () => Iterable<string>): this {
    this.#resyncs.push(keys);
    return this;
  }

  enqueue(key: string, options?: { urgent?: boolean }): void {
    this.#queue.add(key, options);
    this.#options.metrics.depth(this.name, this.#queue.depth);
  }

  /**
   * Starts with every key in the caches: nobody knows which keys the last leader has reconciled.
   * @param isUnread tells which namespaces are left alone, as an informer cannot read them: what it lacks is not gone
   */
  start(isUnread = this.#isUnread): void {
    this.#isUnread = isUnread;
    for (const keys of this.#resyncs) for (const key of keys()) this.enqueue(key, { urgent: false });
    this.#canaryAt = this.#options.clock.now();
    this.#sendCanary();
    this.#queue.start();
  }

  /** Aborts the reconciles in progress, and waits for them. */
  async stop(): Promise<void> {
    this.#canaryTimer?.();
    this.#canaryAt = undefined;
    await this.#queue.stop();
    this.#queue.clear(); // a later start enqueues everything again
    this.#failing.clear();
  }

  /** @throws where the controller is stuck */
  check(): void {
    if (this.#canaryAt === undefined) return;
    const silentMs = this.#options.clock.now() - this.#canaryAt;
    if (silentMs > stuckMs)
      throw new RuntimeError('ERR_OPERATOR_STUCK', `${this.name}: no canary for ${Math.round(silentMs / 1000)} s`);
    if (this.#queue.longestRunningMs > stuckMs) {
      throw new RuntimeError(
        'ERR_OPERATOR_STUCK',
        `${this.name}: a reconcile has taken ${Math.round(this.#queue.longestRunningMs / 1000)} s`,
      );
    }
  }

  async #work(key: string, signal: AbortSignal): Promise<Result | void> {
    if (key === canary) {
      this.#canaryAt = this.#options.clock.now();
      return;
    }
    const [namespace = ''] = key.split('/');
    if (this.#isUnread(namespace)) return { requeueAfterMs: unreadMs };
    try {
      const result = await this.#options.reconcile(key, signal);
      this.#failing.delete(key);
      return result;
    } catch (error) {
      if (!signal.aborted && !isConflict(error)) await this.#tell(key, error, signal);
      throw error;
    }
  }

  async #tell(key: string, error: unknown, signal: AbortSignal): Promise<void> {
    const { onFailure, log } = this.#options;
    const isFirst = !this.#failing.has(key);
    this.#failing.add(key);
    // one request that fails is nobody's business: the next attempt follows within a second
    if (!onFailure || (isFirst && !isRefusal(error))) return;
    try {
      await onFailure(key, error, signal);
    } catch (failure) {
      log.debug({ controller: this.name, key, err: failure }, 'a failure cannot be reported');
    }
  }

  #sendCanary(): void {
    this.#queue.add(canary);
    this.#canaryTimer = this.#options.clock.after(canaryEveryMs, () => this.#sendCanary());
  }

  #onDone(processed: ProcessedKey): void {
    const { metrics, log } = this.#options;
    metrics.depth(this.name, this.#queue.depth);
    const { key, error, failures, tookMs } = processed;
    if (key === canary) return;
    metrics.reconciled(this.name, processed);
    if (error === undefined) log.debug({ controller: this.name, key, tookMs: Math.round(tookMs) }, 'reconciled');
    else if (isConflict(error))
      log.debug({ controller: this.name, key }, 'the cache was stale; the reconcile is tried again');
    else log.warn({ controller: this.name, key, failures, err: error }, 'a reconcile failed and is tried again');
  }
}
