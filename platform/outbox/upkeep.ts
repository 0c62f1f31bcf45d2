import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { metrics } from './metrics.ts';
import type { ShardProgress } from './shard-progress.ts';
import { readBacklog } from './read.ts';
import { emptySlot } from './slots.ts';
import { outboxTable } from './write.ts';

const backlogMs = 5_000;
const emptySlotMs = 3_600_000;

/** The periodic work of a relay beside publishing: it measures the backlog and empties old slots. */
export class Upkeep {
  readonly #pool: Pool;
  readonly #log: Logger;
  readonly #source: string;
  #backlogDue = 0;
  #emptySlotDue = 0;

  constructor({ pool, log, source }: { pool: Pool; log: Logger; source: string }) {
    this.#pool = pool;
    this.#log = log;
    this.#source = source;
  }

  /** @param now of `performance.now()` */
  async run(
    session: PoolClient,
    { database, progress, now }: { database: string; progress: ShardProgress; now: number },
  ) {
    if (now >= this.#backlogDue) {
      this.#backlogDue = now + backlogMs;
      const { oldest, pending } = await readBacklog(session, { source: this.#source, ahead: progress.ahead });
      metrics.oldest.set({ database }, oldest);
      metrics.pending.set({ database }, pending);
    }
    if (this.#source === outboxTable && now >= this.#emptySlotDue && progress.has(0)) {
      this.#emptySlotDue = now + emptySlotMs;
      await this.#emptySlot(database);
    }
  }

  async #emptySlot(database: string): Promise<void> {
    try {
      const outcome = await emptySlot(this.#pool, Date.now());
      this.#log.debug({ database, outcome }, 'the relay looked at the next slot of the outbox');
    } catch (error) {
      this.#log.warn({ err: error, database }, 'the relay could not empty the next slot of the outbox');
    }
  }
}
