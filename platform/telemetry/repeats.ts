/** A repeated line is written once in this time, in milliseconds. */
const quietMs = 30_000;
const maxRemembered = 200;
const maxLength = 500;

/**
 * Tells which lines of a log are written: one that was written within the last 30 s is only counted. The number comes with the next
 * line that is the same: those of the last 30 s of an outage are never told.
 */
export class Repeats {
  /** the last lines that were written, the oldest first */
  readonly #written = new Map<string, { at: number; repeated: number }>();

  /**
   * @param line what makes two lines the same; its first 500 characters count
   * @returns undefined if the line is only counted; else how often it has come since it was last written, if it has
   */
  note(line: string): { repeated: number | undefined } | undefined {
    const key = line.slice(0, maxLength);
    const now = performance.now();
    const last = this.#written.get(key);
    if (last && now - last.at < quietMs) {
      last.repeated += 1;
      return undefined;
    }
    this.#written.delete(key);
    const [oldest] = this.#written.keys();
    if (oldest !== undefined && this.#written.size >= maxRemembered) this.#written.delete(oldest);
    this.#written.set(key, { at: now, repeated: 0 });
    return { repeated: last?.repeated || undefined };
  }
}
