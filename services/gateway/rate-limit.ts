import { LRUCache } from 'lru-cache';
import { Problem } from '#platform/http';

interface Bucket {
  tokens: number;
  at: number;
}

/** The most clients to remember; the least recently seen client is forgotten first. */
const maxClients = 50_000;

/** A token bucket per client: `perSecond` on average, at most `burst` at once. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxClients });

  constructor(perSecond: number, burst = perSecond, now: () => number = () => performance.now()) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#now = now;
  }

  /** Counts a request of a client; returns the problem if the client is over its limit. */
  take(client: string): Problem | undefined {
    const now = this.#now();
    const bucket = this.#buckets.get(client) ?? { tokens: this.#burst, at: now };
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((now - bucket.at) / 1000) * this.#perSecond);
    bucket.at = now;
    this.#buckets.set(client, bucket);
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return undefined;
    }
    const seconds = Math.ceil((1 - bucket.tokens) / this.#perSecond);
    return new Problem(429, { detail: 'Too many requests', headers: { 'Retry-After': String(seconds) } });
  }
}
