import { Problem, unavailable } from '#platform/http';
import { ClientShares } from './client-shares.ts';

/** In bytes: what the bodies of all requests may take, a small part of the memory of the gateway's pod. */
const wholeBytes = 64 * 1024 * 1024;
/** What the bodies of one client may take: the largest body 16 times at once. */
const shareBytes = wholeBytes / 4;

/** The memory of the bodies that are being read or forwarded. No client can take all of it. */
export class BodyBudget {
  readonly #whole: number;
  readonly #shares: ClientShares;
  #taken = 0;

  constructor(whole = wholeBytes, share = shareBytes) {
    this.#whole = whole;
    this.#shares = new ClientShares(share);
  }

  /** The bytes that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes bytes for a client; returns the problem if there are not enough, and takes none. */
  take(client: string, bytes: number): Problem | undefined {
    if (!this.#shares.take(client, bytes)) {
      const detail = 'Too many bodies of this client are on their way';
      return new Problem(429, { detail, headers: { 'Retry-After': '1' } });
    }
    if (this.#taken + bytes > this.#whole) {
      this.#shares.give(client, bytes);
      return unavailable('Too many bodies are on their way', 1);
    }
    this.#taken += bytes;
    return undefined;
  }

  /** Gives bytes back that were taken for a client. */
  give(client: string, bytes: number): void {
    this.#taken -= bytes;
    this.#shares.give(client, bytes);
  }
}
