import type { Logger } from '#platform/telemetry';
import type { Pool } from '#platform/postgres';
import { emptySlot, timeOf } from './slots.ts';
import { outboxTable } from './write.ts';

const emptySlotMs = 3_600_000;

/** The periodic work of a relay beside publishing: it empties old slots. */
export class Upkeep {
  readonly #pool: Pool;
  readonly #log: Logger;
  readonly #source: string;
  #emptySlotDue = 0;

  constructor({ pool, log, source }: { pool: Pool; log: Logger; source: string }) {
    this.#pool = pool;
    this.#log = log;
    this.#source = source;
  }

  /** @param now of `performance.now()` */
  async run({ database, isFirst, now }: { database: string; isFirst: boolean; now: number }): Promise<void> {
    if (this.#source !== outboxTable || !isFirst || now < this.#emptySlotDue) return;
    this.#emptySlotDue = now + emptySlotMs;
    try {
      const outcome = await emptySlot(this.#pool, await timeOf(this.#pool));
      this.#log.debug({ database, outcome }, 'the relay looked at the next slot of the outbox');
    } catch (error) {
      this.#log.warn({ err: error, database }, 'the relay could not empty the next slot of the outbox');
    }
  }
}
