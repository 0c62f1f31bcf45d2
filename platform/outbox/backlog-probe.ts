import { messageOf, PlatformError } from '#platform/errors';
import { Ticker } from '#platform/lifecycle';
import { describeHolder } from '#platform/postgres';
import type { Pool, PoolClient } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import { metrics } from './metrics.ts';
import { withBoundedClient } from './bounded.ts';
import { readBacklog, readParked } from './backlog.ts';
import type { ParkedCount, ShardBacklog } from './backlog.ts';
import type { ShardProgress } from './shard-progress.ts';

const everyMs = 2_000;
/** a measurement is given up after this time, with its connection */
const timeoutMs = 5_000;
/** after this time without progress the outbox is reported as stuck */
const stuckMs = 15_000;

export interface BacklogProbeOptions {
  pool: Pool;
  log: Logger;
  /** the table or view that the relay reads */
  source: string;
  /** what the relay has published */
  progress: () => ShardProgress;
}

/**
 * Measures from outside how far the outbox is published: on a connection of its own, so that it tells also of a relay whose
 * session does not answer. It is about the shards of this process, and those that no relay owns.
 */
export class BacklogProbe {
  readonly #options: BacklogProbeOptions;
  readonly #ticker: Ticker;
  #database = '';
  #measuredAt = performance.now();
  #failure: unknown;
  /** the oldest unpublished row of each shard, and since when it is that one */
  #oldest = new Map<number, { id: string; since: number }>();
  /** what keeps the relay from publishing, where it has waited for long */
  #holder = '';
  #parked: ParkedCount[] = [];

  constructor(options: BacklogProbeOptions) {
    this.#options = options;
    const run = () => this.#run();
    this.#ticker = new Ticker({ name: 'backlog of the outbox', everyMs, log: options.log, run });
  }

  start(): void {
    this.#measuredAt = performance.now();
    this.#ticker.start();
  }

  stop(): Promise<void> {
    return this.#ticker.stop();
  }

  /** @throws while nothing is published though there is something to publish, and while messages are parked */
  check(): void {
    const now = performance.now();
    const stuck = (message: string) => new PlatformError('ERR_OUTBOX_STUCK', message, { cause: this.#failure });
    const seconds = (since: number) => Math.round((now - since) / 1_000);
    if (now - this.#measuredAt > stuckMs)
      throw stuck(`the outbox was not measured for ${seconds(this.#measuredAt)} s: ${messageOf(this.#failure)}`);
    const since = Math.min(now, ...this.#oldest.values().map((oldest) => oldest.since));
    if (now - since > stuckMs)
      throw stuck(`nothing of the outbox was published for ${seconds(since)} s${this.#holder}`);
    if (this.#parked.length > 0)
      throw new PlatformError(
        'ERR_OUTBOX_PARKED',
        this.#parked
          .map(({ topic, count, since: first, reason }) => `${count} events of ${topic} since ${first}: ${reason}`)
          .join('; '),
      );
  }

  async #run(): Promise<void> {
    try {
      await this.#measure();
      this.#failure = undefined;
    } catch (error) {
      const { log } = this.#options;
      if (!this.#failure) log.warn({ err: error, database: this.#database }, 'the outbox cannot be measured');
      this.#failure = error;
    }
  }

  async #measure(): Promise<void> {
    const { pool, source, progress } = this.#options;
    await withBoundedClient(pool, timeoutMs, async (client) => {
      const { shards, ahead } = progress();
      this.#note(await readBacklog(client, { source, own: shards, ahead }));
      await this.#findHolder(client);
      this.#parked = await readParked(client, source);
    });
    this.#report();
    this.#measuredAt = performance.now();
  }

  #note({ database, oldest, pending, shards }: ShardBacklog): void {
    // a row that is new here may have been the oldest one since the measurement before
    const earliest = Math.max(this.#measuredAt, performance.now() - everyMs - timeoutMs);
    this.#database = database;
    metrics.oldest.set({ database }, oldest);
    metrics.pending.set({ database }, pending);
    this.#oldest = new Map(
      shards.map(({ shard, id }) => {
        const before = this.#oldest.get(shard);
        return [shard, { id, since: before?.id === id ? before.since : earliest }];
      }),
    );
  }

  /** Finds the transaction that the relay waits for: its rows can come before those that are there. */
  async #findHolder(client: PoolClient): Promise<void> {
    const now = performance.now();
    const isSlow = this.#oldest.values().some(({ since }) => now - since > everyMs);
    const holder = isSlow ? await describeHolder(client) : undefined;
    this.#holder = holder ? `: ${holder}` : '';
  }

  #report(): void {
    const database = this.#database;
    const before = reported.get(database) ?? [];
    const topics = this.#parked.map(({ topic }) => topic);
    for (const topic of before) if (!topics.includes(topic)) metrics.parked.set({ database, topic }, 0);
    for (const { topic, count } of this.#parked) metrics.parked.set({ database, topic }, count);
    reported.set(database, [...new Set([...before, ...topics])]);
  }
}

/** The topics with which this process has reported parked messages, by database. */
const reported = new Map<string, string[]>();
