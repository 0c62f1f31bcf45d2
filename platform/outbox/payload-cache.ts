/** the most bytes that the cache keeps */
const capacity = 24 * 1024 * 1024;

/**
 * The data of large rows that this process has written to an outbox, by event id. Its relay reads most of them a moment
 * later, and the database need not send the data back. The relay reads from the database what the cache does not have.
 */
export class PayloadCache {
  readonly #data = new Map<string, Buffer>();
  #bytes = 0;

  /** A copy of the current content. */
  snapshot(): ReadonlyMap<string, Buffer> {
    return new Map(this.#data);
  }

  /** @param eventId unique among the events of all outboxes */
  add(eventId: string, data: Buffer): void {
    this.#data.set(eventId, data);
    this.#bytes += data.length;
    for (const oldest of this.#data.keys()) {
      if (this.#bytes <= capacity) break;
      this.delete(oldest);
    }
  }

  delete(eventId: string): void {
    this.#bytes -= this.#data.get(eventId)?.length ?? 0;
    this.#data.delete(eventId);
  }
}

/** The cache of this process. */
export const payloadCache = new PayloadCache();
