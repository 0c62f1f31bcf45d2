import { LRUCache } from 'lru-cache';
import { Problem } from '#platform/http';

interface Bucket {
  tokens: number;
  at: number;
}

/** How many clients are remembered: the ones that were not seen for longest are forgotten first. */
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

  /** Counts a request of a client; the answer where it is one too many. */
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
