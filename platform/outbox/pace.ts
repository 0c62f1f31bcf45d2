import { roundMs } from '#platform/lifecycle';

/** the least time between two reads, so that one read gets all rows committed meanwhile */
const shortestRoundMs = 2;
/** pauses between polls for commits of other processes; own commits wake the relay */
const idleMs = { first: 10, last: 250 };

/** When the relay reads again. All times are milliseconds of one clock. */
export class Pace {
  #foundAt = Number.NEGATIVE_INFINITY;
  #rows = 0;

  /** Records that the read that started at this time found rows. */
  found(started: number, rows: number): void {
    this.#foundAt = started;
    this.#rows = rows;
  }

  /** The remaining time until the next read may start. */
  rest(now: number): number {
    return Math.max(0, this.#foundAt + Math.max(shortestRoundMs, roundMs(this.#rows)) - now);
  }

  /**
   * How long to wait for a wake-up. If other processes write too, the pause is a twentieth of the time since the last rows:
   * the relay polls often while rows come, and seldom when none come.
   */
  pause(now: number, relays: number): number {
    if (relays <= 1) return idleMs.last;
    return Math.min(idleMs.last, Math.max(idleMs.first, (now - this.#foundAt) / 20));
  }
}
