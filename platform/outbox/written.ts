/** bytes that are kept, at most */
const capacity = 24 * 1024 * 1024;

/**
 * What this process has written to an outbox in rows with many bytes, by the id of the event: its relay mostly reads them a
 * moment later, and need not have the bytes sent back. What is not here is read from the database.
 */
export class WrittenData {
  readonly #data = new Map<string, Buffer>();
  #bytes = 0;

  /** All of it, as it is now. */
  copy(): ReadonlyMap<string, Buffer> {
    return new Map(this.#data);
  }

  /** @param eventId of no other event in any outbox */
  keep(eventId: string, data: Buffer): void {
    this.#data.set(eventId, data);
    this.#bytes += data.length;
    for (const oldest of this.#data.keys()) {
      if (this.#bytes <= capacity) break;
      this.forget(oldest);
    }
  }

  forget(eventId: string): void {
    this.#bytes -= this.#data.get(eventId)?.length ?? 0;
    this.#data.delete(eventId);
  }
}

/** Shared by all that this process writes and reads. */
export const written = new WrittenData();
