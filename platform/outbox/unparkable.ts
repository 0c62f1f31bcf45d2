import { messagesOf, nameOfKey } from './rows.ts';
import type { OutboxRow } from './rows.ts';

/** how long a key waits whose first message can be neither published nor parked, in milliseconds: each attempt takes failing statements */
const pauseMs = 2_000;

/** The keys, by name, whose first message can be neither published nor parked, until they are tried again. */
export class Unparkable {
  /** by the clock of `performance.now()` */
  readonly #retryAt = new Map<string, number>();

  note(names: Iterable<string>, now = performance.now()): void {
    for (const name of names) this.#retryAt.set(name, now + pauseMs);
  }

  /**
   * Leaves out the rows of these keys. With a record batch all of its keys wait, so that it is sent once, and not overtaken.
   * @param rows in the order in which they happened
   */
  without(rows: readonly OutboxRow[], now = performance.now()): readonly OutboxRow[] {
    for (const [name, retryAt] of this.#retryAt) if (retryAt <= now) this.#retryAt.delete(name);
    if (this.#retryAt.size === 0) return rows;
    const waiting = new Set(this.#retryAt.keys());
    return rows.filter((row) => {
      const names = messagesOf(row).map(nameOfKey);
      if (!names.some((name) => waiting.has(name))) return true;
      for (const name of names) waiting.add(name);
      return false;
    });
  }
}
