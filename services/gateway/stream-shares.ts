import type { ServerResponse } from 'node:http';
import { Problem } from '#platform/http';
import { ClientShares } from './client-shares.ts';

/** A quarter of the streams that one process of a service serves. */
const maxOfClient = 50;

/** Counts the event streams that each client has open, so that no client can take all that a service serves. */
export class StreamShares {
  readonly #shares: ClientShares;

  constructor(max = maxOfClient) {
    this.#shares = new ClientShares(max);
  }

  /** Counts a stream of a client until its response is closed; returns the problem if the client has too many. */
  take(client: string, response: ServerResponse): Problem | undefined {
    if (!this.#shares.take(client, 1)) {
      const detail = 'This client has too many event streams open';
      return new Problem(429, { detail, headers: { 'Retry-After': '5' } });
    }
    response.once('close', () => this.#shares.give(client, 1));
    return undefined;
  }
}
