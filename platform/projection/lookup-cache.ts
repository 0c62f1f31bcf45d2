import { LRUCache } from 'lru-cache';
import { counter } from '#platform/telemetry';

const lookups = counter({
  name: 'millrace_cache_lookups_total',
  help: 'Lookups of a cache by result: hit, miss, or shared with a lookup that was under way',
  labelNames: ['cache', 'result'],
});

export interface LookupCacheOptions<V> {
  /** the name in metrics */
  name: string;
  /** asks the source; undefined is not cached */
  load: (key: number) => Promise<V | undefined>;
  maxEntries: number;
  ttlMs: number;
}

/** A bounded cache of a slow source. Concurrent lookups of a key ask the source once. */
export class LookupCache<V extends object> {
  readonly #options: LookupCacheOptions<V>;
  readonly #entries: LRUCache<number, V>;
  readonly #underWay = new Map<number, Promise<V | undefined>>();

  constructor(options: LookupCacheOptions<V>) {
    this.#options = options;
    this.#entries = new LRUCache({ max: options.maxEntries, ttl: options.ttlMs });
  }

  get(key: number): Promise<V | undefined> {
    const cache = this.#options.name;
    const known = this.#entries.get(key);
    if (known) {
      lookups.inc({ cache, result: 'hit' });
      return Promise.resolve(known);
    }
    const shared = this.#underWay.get(key);
    lookups.inc({ cache, result: shared ? 'shared' : 'miss' });
    return shared ?? this.#load(key);
  }

  /** Removes a key. The result of a running lookup is not cached, because it can be the old value. */
  forget(key: number): void {
    this.#entries.delete(key);
    this.#underWay.delete(key);
  }

  /** Forgets all keys, likewise. */
  forgetAll(): void {
    this.#entries.clear();
    this.#underWay.clear();
  }

  async #load(key: number): Promise<V | undefined> {
    const loading = this.#options.load(key);
    this.#underWay.set(key, loading);
    try {
      const value = await loading;
      if (value && this.#underWay.get(key) === loading) this.#entries.set(key, value);
      return value;
    } finally {
      if (this.#underWay.get(key) === loading) this.#underWay.delete(key);
    }
  }
}
