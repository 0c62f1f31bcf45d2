import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

import { topics as declaredTopics } from '#platform/declarations';
import { createKafka, type Kafka } from '#platform/kafka';
import { databaseNameOf } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';
import type { Observed } from './observed.ts';
import { foreignEvent } from './hops.ts';
import { samplesOf, type Outbox, type Reading, type TopicEnds } from './samples.ts';
import { GreenWatch, type HopSample } from './watch.ts';

const everyMs = 1_000;
const askMs = 2_500;

/**
 * Looks at the platform from outside its own paths every second: the health of each service, and how far each hop is, by
 * Kafka's end offsets, the stored offsets and the cursors of the outboxes, past all proxies. What cannot be read keeps its
 * last value: whoever cannot reach a database makes no progress in it either.
 */
export class Probe {
  readonly watch = new GreenWatch();
  /** The last answer of each service to `/health`, for the report. */
  readonly health = new Map<string, string>();
  readonly #system: Observed;
  readonly #outboxes: Outbox[];
  readonly #kafka: Kafka;
  readonly #pools = new Map<string, pg.Pool>();
  readonly #ends = new Map<string, TopicEnds & { at: number }>();
  readonly #readings = new Map<string, Reading & { at: number }>();
  /** the services that are UP, with the time when they were asked */
  readonly #green = new Map<string, number>();
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(system: Observed) {
    this.#system = system;
    this.#outboxes = system.services.flatMap(({ metadata: { name }, spec }) =>
      (spec.databases ?? []).map((database) => ({
        database: database.name,
        service: name,
        consumes: (spec.consumes ?? []).filter((consumption) => consumption.database === database.name),
      })),
    );
    const log = createLogger('chaos', 'silent');
    this.#kafka = createKafka({ ...system.kafka, clientId: 'chaos', log });
  }

  start(): void {
    const { services } = this.#system;
    this.#loops = [
      ...services.map(({ metadata: { name } }) => this.#repeat(() => this.#askHealth(name))),
      ...this.#outboxes.map((outbox) => this.#repeat(() => this.#readDatabase(outbox))),
      this.#repeat(() => this.#readEnds()),
      this.#repeat(() => {
        this.watch.observe(performance.now(), this.#green, this.samples());
        return Promise.resolve();
      }),
    ];
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#kafka.close();
    await Promise.allSettled([...this.#pools.values()].map((pool) => pool.end()));
    await Promise.all(this.#loops);
  }

  /** A pool of one connection past the proxy, as the superuser. */
  pool(database: string): pg.Pool {
    const known = this.#pools.get(database);
    if (known) return known;
    const url = new URL(this.#system.postgres);
    url.pathname = `/${databaseNameOf(database)}`;
    const pool = new pg.Pool({
      connectionString: url.href,
      max: 1,
      connectionTimeoutMillis: askMs,
      query_timeout: askMs,
      application_name: 'chaos',
    });
    pool.on('error', () => undefined);
    this.#pools.set(database, pool);
    return pool;
  }

  /** Where each part of each hop is. */
  samples(): HopSample[] {
    return this.#outboxes.flatMap((outbox) => {
      const reading = this.#readings.get(outbox.database);
      return reading ? samplesOf(outbox, reading, this.#ends) : [];
    });
  }

  /** What is pending at each hop, if everything was read after that moment; else undefined. */
  backlogSince(moment: number): Map<string, number> | undefined {
    const read = [...this.#readings.values(), ...this.#ends.values()];
    if (read.length < this.#outboxes.length + declaredTopics().length || read.some(({ at }) => at < moment))
      return undefined;
    return this.backlog();
  }

  /** What is pending at each hop, as far as it was read; a mail also while it waits for its next attempt. */
  backlog(): Map<string, number> {
    const pending = new Map<string, number>();
    for (const sample of this.samples()) pending.set(sample.hop, (pending.get(sample.hop) ?? 0) + sample.pending);
    for (const { mails } of this.#readings.values()) if (mails) pending.set('mails', mails.waiting);
    return pending;
  }

  async #repeat(ask: () => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await ask().catch(() => undefined);
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #askHealth(service: string): Promise<void> {
    const asked = performance.now();
    try {
      const answer = await fetch(`${this.#system.url(service)}/health`, { signal: AbortSignal.timeout(askMs) });
      this.health.set(service, `${answer.status} ${await answer.text()}`);
      if (answer.ok) this.#green.set(service, asked);
      else this.#green.delete(service);
    } catch (error) {
      this.#green.delete(service);
      this.health.set(service, (error as Error).message);
    }
  }

  async #readEnds(): Promise<void> {
    for (const { name } of declaredTopics()) {
      const at = performance.now();
      const { admin } = this.#kafka;
      const [marks, topicId] = await Promise.all([admin.watermarks(name), admin.topicId(name)]);
      const high = new Map([...marks].map(([partition, mark]) => [partition, mark.high]));
      this.#ends.set(name, { at, high, topicId });
    }
  }

  async #readDatabase({ database }: Outbox): Promise<void> {
    const pool = this.pool(database);
    const at = performance.now();
    // orders publishes its event store
    const source = database === 'orders' ? 'outbox' : 'millrace.outbox';
    // While a transaction is open, a relay publishes rows above the horizon, and its cursor waits below it: only below it a
    // row beyond the cursor is surely not published.
    const { rows: shards } = await pool.query<{ shard: number; pending: number; position: string }>(
      `SELECT s.shard, s.xid::text || '/' || s.id AS position, (SELECT count(*)::int FROM (
         SELECT FROM ${source} o WHERE o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id)
           AND o.xid < pg_snapshot_xmin(pg_current_snapshot()) LIMIT 1000) l) AS pending
       FROM millrace.outbox_shards s`,
    );
    const { rows: offsets } = await pool.query<{ part: string; next: string; topicId: string | null }>(
      `SELECT consumer_group || ' ' || topic || '/' || partition AS part, next_offset::text AS next,
         topic_id AS "topicId"
       FROM millrace.inbox_offsets`,
    );
    const { rows: mails } =
      database === 'notifications'
        ? await pool.query<{ due: number; waiting: number; settled: number }>(
            `SELECT (SELECT count(*)::int FROM deliveries WHERE due_at <= now()) AS due,
               (SELECT count(*)::int FROM deliveries d JOIN notifications n ON n.id = d.notification_id
                WHERE n.event_id NOT LIKE '${foreignEvent}%') AS waiting,
               (SELECT count(*)::int FROM notifications WHERE status <> 'PENDING') AS settled`,
          )
        : { rows: [] };
    const stored = new Map(offsets.map(({ part, next, topicId }) => [part, { next: BigInt(next), topicId }]));
    this.#readings.set(database, { at, shards, offsets: stored, mails: mails[0] });
  }
}
