import { backoffMs } from '#platform/lifecycle';
import type { BackoffOptions } from '#platform/lifecycle';
import type { Api } from './api.ts';
import type { Clock } from './clock.ts';
import { isForbidden, isGone, isNotFound, retryAfterOf, SilenceError } from './errors.ts';
import type { Log } from './log.ts';
import type { KubeObject, ResourceType } from './objects.ts';

/** Receives the objects of a collection and their changes. */
export interface Sink<T extends KubeObject> {
  /** the whole collection at one moment */
  replace(items: T[]): void;
  changed(object: T): void;
  deleted(object: T): void;
  /** the server does not know the kind, and nobody says that it must */
  absent?: () => void;
  /** nobody lets the process read the collection, and there are others that it may go on with */
  forbidden?: () => void;
}

/** Why a watch was started again. */
export type RestartReason = 'ended' | 'gone' | 'silent' | 'absent' | 'forbidden' | 'error';

interface ReflectorOptions<T extends KubeObject> {
  api: Api;
  type: ResourceType;
  /** undefined: all namespaces */
  namespace: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  sink: Sink<T>;
  clock: Clock;
  log: Log;
  onRestart?: (reason: RestartReason) => void;
  tuning?: Partial<ReflectorTuning>;
}

/** Times in milliseconds. */
export interface ReflectorTuning {
  pageSize: number;
  /** A watch that brings nothing for that long is dead: the server sends a bookmark every minute. */
  silenceMs: number;
  /** The server ends a watch after this time plus a random part of it, so that watches do not all end together. */
  watchMs: number;
  backoff: BackoffOptions;
  /** A watch that lasts that long, or brings an event, resets the backoff. */
  healthyMs: number;
}

const defaults: ReflectorTuning = {
  pageSize: 500,
  silenceMs: 90_000,
  watchMs: 300_000,
  backoff: { firstMs: 250, maxMs: 10_000 },
  healthyMs: 10_000,
};

/**
 * Keeps a sink equal to a collection of the API, whatever happens to the server and the connection. It lists once and then
 * watches. After an interruption it watches from the last resource version of an event or a bookmark. It lists again only
 * where the server no longer has that version (410), or the kind, or forbids the watch and the sink is told so. It waits with backoff and
 * jitter before each new attempt.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #tuning: ReflectorTuning;
  #resourceVersion: string | undefined;
  #failures = 0;
  #lastReason: RestartReason | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#tuning = { ...defaults, ...options.tuning };
  }

  /** Runs until the signal aborts; nothing else ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, type, namespace, onRestart, sink } = this.#options;
    while (!signal.aborted) {
      let failure: unknown;
      try {
        if (this.#resourceVersion === undefined) await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        failure = error;
      }
      if (signal.aborted) return;
      const reason = this.#reasonOf(failure);
      onRestart?.(reason);
      if (reason === 'absent') sink.absent?.();
      if (reason === 'forbidden') sink.forbidden?.();
      const wait = this.#waitMs(failure);
      const details = { resource: type.plural, namespace, reason, wait: Math.round(wait), err: failure };
      const isKnown = reason === 'forbidden' && reason === this.#lastReason;
      this.#lastReason = reason;
      if (failure === undefined || reason === 'gone' || reason === 'absent' || isKnown)
        log.debug(details, 'a watch starts again');
      else log.warn(details, 'a watch was interrupted');
      await clock.sleep(wait, signal).catch(() => undefined);
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, type, namespace, labelSelector, fieldSelector, sink } = this.#options;
    const items: T[] = [];
    let next: string | undefined;
    let resourceVersion: string;
    do {
      // a page that is gone (410) throws, and the list starts again, as all of its pages must be of one moment
      const page = await api.list<T>(type, {
        namespace,
        labelSelector,
        fieldSelector,
        limit: this.#tuning.pageSize,
        next,
        signal,
      });
      items.push(...page.items);
      ({ resourceVersion, next } = page);
    } while (next !== undefined);
    sink.replace(items);
    this.#resourceVersion = resourceVersion;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { api, type, namespace, labelSelector, fieldSelector, sink, clock } = this.#options;
    const { silenceMs, watchMs, healthyMs } = this.#tuning;
    const begin = clock.now();
    const options = {
      namespace,
      labelSelector,
      fieldSelector,
      resourceVersion: this.#resourceVersion!,
      timeoutSeconds: Math.ceil((watchMs * (1 + Math.random())) / 1000),
      silenceMs,
      clock,
      signal,
    };
    try {
      for await (const event of api.watch<T>(type, options)) {
        if (event.type === 'DELETED') sink.deleted(event.object);
        else if (event.type !== 'BOOKMARK') sink.changed(event.object);
        this.#resourceVersion =
          event.type === 'BOOKMARK' ? event.resourceVersion : event.object.metadata.resourceVersion!;
        this.#failures = 0;
      }
    } finally {
      if (clock.now() - begin >= healthyMs) this.#failures = 0;
    }
  }

  #reasonOf(failure: unknown): RestartReason {
    if (failure === undefined) return 'ended';
    const { absent, forbidden } = this.#options.sink;
    const isAbsent = isNotFound(failure) && absent !== undefined;
    const isRefused = isForbidden(failure) && forbidden !== undefined;
    if (!isGone(failure) && !isAbsent && !isRefused) return failure instanceof SilenceError ? 'silent' : 'error';
    this.#resourceVersion = undefined;
    if (isRefused) return 'forbidden';
    return isAbsent ? 'absent' : 'gone';
  }

  /** There is no wait after a watch that the server ended in order. */
  #waitMs(failure: unknown): number {
    this.#failures += 1;
    if (failure === undefined && this.#failures === 1) return 0;
    return Math.max(backoffMs(this.#failures, { jitter: 0.5, ...this.#tuning.backoff }), retryAfterOf(failure));
  }
}
