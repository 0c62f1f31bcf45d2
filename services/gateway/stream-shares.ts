import type { ServerResponse } from 'node:http';
import { Problem } from '#platform/http';

/** A quarter of the streams that one process of a service serves. */
const maxOfClient = 50;

/** Counts the event streams that each client has open, so that no client can take all that a service serves. */
export class StreamShares {
  readonly #max: number;
  readonly #open = new Map<string, number>();

  constructor(max = maxOfClient) {
    this.#max = max;
  }

  /** Counts a stream of a client until its response is closed; returns the problem if the client has too many. */
  take(client: string, response: ServerResponse): Problem | undefined {
    const open = this.#open.get(client) ?? 0;
    if (open >= this.#max) {
      const detail = 'This client has too many event streams open';
      return new Problem(429, { detail, headers: { 'Retry-After': '5' } });
    }
    this.#open.set(client, open + 1);
    response.once('close', () => this.#give(client));
    return undefined;
  }

  #give(client: string): void {
    const left = (this.#open.get(client) ?? 0) - 1;
    if (left > 0) this.#open.set(client, left);
    else this.#open.delete(client);
  }
}
