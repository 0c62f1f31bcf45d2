import type { DecodeEvent } from '#platform/contract';
import type { Accumulation, Accumulator, PartitionEvents, RecreatedTopics } from '#platform/inbox';
import { Health } from '#platform/health';
import type { HealthReport } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Versions } from '#streams/engine';
import { StreamsError } from '#streams/errors';
import { noteSkipped, promote, lockLagging, lockCaughtUp, lockVersionsShared } from '#streams/store';
import type { BackfillOffset, VersionSource } from '#streams/store';
import type { QueryAccumulation } from './accumulation.ts';
import { Engine } from './engine.ts';

/** After this time in milliseconds, the other workers take over the partitions of a worker that was killed. */
export const sessionMs = 3_500;

/** How long a backfill may take to join its group and to find where it goes on, in milliseconds: then health says so. */
const settlingMs = 15_000;

export interface BackfillOptions {
  /** the live group: the service's own consumer group */
  group: string;
  topics: readonly string[];
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  /** of the service: it says why versions are not built; requests do not need them */
  health: Health;
  recreatedTopics?: RecreatedTopics;
  source: VersionSource;
  /** decodes a message as the live group does */
  decode: DecodeEvent<IncomingMessage>;
  /** called after each commit of the backfill, and after a promotion */
  onCommitted: () => void;
  /** milliseconds since 1970 */
  now?: () => number;
}

/**
 * Reads topics again from their first event while versions are being built. The backfill is a consumer group of its own,
 * whose partitions the workers share. In each partition, a version moves to the live group as soon as the backfill has
 * caught up with it.
 */
export class Backfill {
  readonly #options: BackfillOptions;
  /** what reads, its health, and since when it does, in milliseconds since 1970; undefined while no version is being built */
  #reading: { inbox: Inbox; health: Health; since: number } | undefined;
  #following: Promise<void> | undefined;
  #stopped = false;

  constructor(options: BackfillOptions) {
    this.#options = options;
    const name = `backfill ${backfillGroup(options.group)}`;
    options.health.addWork(name, () => this.#check());
    options.health.addLiveness(name, async () => assertUp(await this.#reading?.health.liveness()));
  }

  /** @throws while it cannot read */
  async #check(): Promise<void> {
    const { now = Date.now } = this.#options;
    if (this.#reading && now() - this.#reading.since >= settlingMs) assertUp(await this.#reading.health.report());
  }

  /** Starts or stops reading as the versions need it. */
  follow(versions: Versions): Promise<void> {
    this.#following = this.#follow(versions);
    return this.#following;
  }

  async #follow(versions: Versions): Promise<void> {
    if (this.#stopped) return;
    if (versions.backlog.length === 0) return this.#end();
    this.#reading ??= this.#read(versions);
    const { pool, source, group, onCommitted } = this.#options;
    if (await promoteIdle(pool, source, group)) onCommitted();
  }

  /** Stops reading, and follows no versions any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([this.#following]);
    await this.#end();
  }

  async #end(): Promise<void> {
    const reading = this.#reading;
    this.#reading = undefined;
    await reading?.inbox.stop();
  }

  #read(versions: Versions) {
    const {
      group,
      topics,
      pool,
      kafka,
      log,
      recreatedTopics,
      source,
      decode,
      onCommitted,
      now = Date.now,
    } = this.#options;
    const health = new Health();
    const own = backfillGroup(group);
    const engine = new Engine({ group: own, pool, source, versions, now });
    const inbox = new Inbox({
      group: own,
      topics,
      pool,
      kafka,
      log,
      health,
      ...(recreatedTopics && { recreatedTopics }),
      handle: (tx, events) => engine.handle(tx, events),
      accumulator: new BackfillAccumulator(engine, source),
      maxBatch: 250,
      mode: 'backfill',
      onSkipped: (tx, messages) => noteSkipped(tx, group, messages),
      decode,
      sessionMs,
      onCommitted,
    });
    log.info({ group: own, queries: versions.building.map(({ query }) => query.name) }, 'reading events again');
    inbox.start();
    return { inbox, health, since: now() };
  }
}

function assertUp(report: HealthReport | undefined): void {
  const reasons = Object.values(report?.checks ?? {}).flatMap(({ reason }) => reason ?? []);
  if (reasons.length > 0)
    throw new StreamsError('ERR_QUERY_NOT_BUILT', `versions of stream queries are not built: ${reasons.join('; ')}`);
}

/** Promotes versions in partitions without events to read, where no batch does it. @returns whether there were any */
export async function promoteIdle(pool: Pool, source: VersionSource, group: string): Promise<boolean> {
  return transaction(pool, async (tx) => {
    const reached = await lockCaughtUp(tx, group);
    if (reached.length === 0) return false;
    await lockVersionsShared(tx);
    return promote(tx, await source.load(tx), reached);
  });
}

/** Promotes versions in the transaction with which they catch up. */
export class BackfillAccumulator implements Accumulator {
  readonly #engine: Engine;
  readonly #source: VersionSource;

  constructor(engine: Engine, source: VersionSource) {
    this.#engine = engine;
    this.#source = source;
  }

  prepare(at: TopicPartition & { offset: bigint }): Promise<void> {
    return this.#engine.prepare(at);
  }

  begin(): Accumulation {
    return new BackfillAccumulation(this.#engine.begin(), this.#source);
  }

  reset(): void {
    this.#engine.reset();
  }
}

class BackfillAccumulation implements Accumulation {
  readonly #own: QueryAccumulation;
  readonly #source: VersionSource;
  /** by partition */
  readonly #reached = new Map<string, BackfillOffset>();

  constructor(own: QueryAccumulation, source: VersionSource) {
    this.#own = own;
    this.#source = source;
  }

  add(events: PartitionEvents): void {
    this.#own.add(events);
    const { topic, partition, next } = events;
    this.#reached.set(nameOf(events), { topic, partition, next });
  }

  async write(tx: PoolClient): Promise<void> {
    const { versions } = this.#own;
    const near = [...this.#reached.values()].filter((at) => versions.promotable(at, at.next).plans.length > 0);
    const held = await lockLagging(tx, versions.group, near); // before the windows, as the live group does
    await this.#own.write(tx);
    if (held.length > 0) await promote(tx, await this.#source.load(tx), held);
  }
}
