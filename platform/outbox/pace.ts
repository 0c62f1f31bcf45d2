import { roundMs } from '#platform/lifecycle';

/** reads follow each other no faster: what is committed meanwhile is read together */
const shortestRoundMs = 2;
/** the poll for what other processes commit; own commits wake the relay */
const idleMs = { first: 10, last: 250 };

/** When the relay reads again. Times are milliseconds of one clock. */
export class Pace {
  #foundAt = Number.NEGATIVE_INFINITY;
  #rows = 0;

  /** Notes that a read begun at that time found rows. */
  found(started: number, rows: number): void {
    this.#foundAt = started;
    this.#rows = rows;
  }

  /** What is left of the least time of the round. */
  rest(now: number): number {
    return Math.max(0, this.#foundAt + Math.max(shortestRoundMs, roundMs(this.#rows)) - now);
  }

  /**
   * How long to wait for a wake-up. Where other relays' processes write too, their rows are looked for more often while
   * there was something lately: after a twentieth of the time since.
   */
  pause(now: number, relays: number): number {
    if (relays <= 1) return idleMs.last;
    return Math.min(idleMs.last, Math.max(idleMs.first, (now - this.#foundAt) / 20));
  }
}
