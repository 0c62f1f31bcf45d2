import type { Kafka } from '#platform/kafka';
import { Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import { createPool, transaction } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { buildVersion, dropBuild } from './build.ts';
import type { BuildOptions } from './build.ts';
import { abandonedRequest, activeRequest, announceProjection } from './requests.ts';
import { nextSchema } from './tables.ts';

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
  readonly #ticker: Ticker;
  #pool: Pool | undefined;
  #isAnnounced = false;

  constructor(options: RebuilderOptions) {
    this.#options = options;
    const { pollMs = 2_000, log } = options;
    this.#ticker = new Ticker({
      name: 'build the read model anew where asked',
      everyMs: pollMs,
      log,
      run: () => this.#attempt(this.#pool!),
    });
  }

  start(): void {
    const { group, url, log } = this.#options;
    // its own connections, because their prepared statements use another schema
    this.#pool ??= createPool({ name: `${group}-rebuild`, url, max: connections, log, statementMs: 60_000 });
    this.#ticker.start();
  }

  /** Stops the build, which continues from there after the next start. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ticker.stop();
    const pool = this.#pool;
    this.#pool = undefined;
    await pool?.end();
  }

  async #attempt(pool: Pool): Promise<void> {
    const { group } = this.#options;
    if (!this.#isAnnounced) await announceProjection(pool, group);
    this.#isAnnounced = true;
    if (!(await activeRequest(pool, group)) && !(await abandonedRequest(pool, group, nextSchema))) return;
    const holder = await pool.connect();
    let broken: Error | undefined;
    try {
      const { rows } = await holder.query<{ held: boolean }>('SELECT pg_try_advisory_lock(hashtext($1)) AS held', [
        lockName,
      ]);
      if (!rows[0]!.held) return;
      const request = await activeRequest(holder, group);
      const abandoned = request ? undefined : await abandonedRequest(holder, group, nextSchema);
      if (request) await buildVersion({ ...this.#options, request, pool, signal: this.#stopping.signal });
      else if (abandoned) await transaction(pool, (tx) => dropBuild(tx, abandoned));
      await holder.query('SELECT pg_advisory_unlock(hashtext($1))', [lockName]);
    } catch (error) {
      broken = error as Error; // the end of the session releases the lock
      throw error;
    } finally {
      holder.release(broken);
    }
  }
}
