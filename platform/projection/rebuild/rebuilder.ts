import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import { createPool } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { buildVersion } from './build.ts';
import type { BuildOptions } from './build.ts';
import { activeRequest, announceProjection } from './requests.ts';

export interface RebuilderOptions extends Pick<BuildOptions, 'topics' | 'decode' | 'handle' | 'tables'> {
  group: string;
  /** the pool of the read database */
  url: string;
  kafka: Kafka;
  log: Logger;
  /** called when a new version is in use */
  onSwitched: () => void;
  /** how often to look for a request, in milliseconds; default 2,000 */
  pollMs?: number;
}

/** The advisory lock of the replica that builds. */
const lockName = 'projection rebuild';
const connections = 6;

/**
 * Rebuilds the read model on a request in `millrace.projection_rebuilds`. One replica at a time builds, under an advisory lock; if it
 * dies, another one continues.
 */
export class Rebuilder {
  readonly #options: RebuilderOptions;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #isAnnounced = false;

  constructor(options: RebuilderOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#run();
  }

  /** Stops the build, which continues from there after the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { log, url, pollMs = 2_000 } = this.#options;
    // its own connections, because their prepared statements use another schema
    const pool = createPool({ name: 'orders-read-rebuild', url, max: connections, log, statementMs: 60_000 });
    while (!signal.aborted) {
      await this.#attempt(pool).catch((error: unknown) => {
        if (!signal.aborted) log.warn({ err: error }, 'the read model cannot be built anew now; it is tried again');
      });
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    }
    await pool.end();
  }

  async #attempt(pool: Pool): Promise<void> {
    const { group } = this.#options;
    if (!this.#isAnnounced) await announceProjection(pool, group);
    this.#isAnnounced = true;
    if (!(await activeRequest(pool, group))) return;
    const holder = await pool.connect();
    let broken: Error | undefined;
    try {
      const { rows } = await holder.query<{ held: boolean }>('SELECT pg_try_advisory_lock(hashtext($1)) AS held', [
        lockName,
      ]);
      if (!rows[0]!.held) return;
      const request = await activeRequest(holder, group);
      if (request) await buildVersion({ ...this.#options, request, pool, signal: this.#stopping.signal });
      await holder.query('SELECT pg_advisory_unlock(hashtext($1))', [lockName]);
    } catch (error) {
      broken = error as Error; // the end of the session releases the lock
      throw error;
    } finally {
      holder.release(broken);
    }
  }
}
