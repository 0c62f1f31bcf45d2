import type { Accumulation, Accumulator, Stretch } from '#platform/inbox';
import { Health } from '#platform/health';
import { Inbox, nameOf } from '#platform/inbox';
import type { Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Versions } from '#streams/engine';
import { handOver, holdBehind, holdReached, holdVersions } from '#streams/store';
import type { Reached, VersionSource } from '#streams/store';
import { decodeLazily } from './accumulation.ts';
import type { QueryAccumulation } from './accumulation.ts';
import { Engine } from './engine.ts';

/** A worker that was killed is missed after so many milliseconds; then the others go on with its partitions. */
export const sessionMs = 3_500;

export interface BackfillOptions {
  /** the service's own consumer group */
  group: string;
  topics: readonly string[];
  pool: Pool;
  kafka: Kafka;
  log: Logger;
  source: VersionSource;
  /** called when events have been read again */
  onCommitted: () => void;
  /** milliseconds since 1970 */
  now?: () => number;
}

/**
 * Reads topics again from their first event for the versions that are being built, as a consumer group of its own whose
 * partitions the workers share, while there are any. In each partition a version goes over to the service's own group
 * as soon as the backfill is not behind it.
 */
export class Backfill {
  readonly #options: BackfillOptions;
  #inbox: Inbox | undefined;
  #following: Promise<void> | undefined;
  #stopped = false;

  constructor(options: BackfillOptions) {
    this.#options = options;
  }

  /** Starts or stops reading as the versions need it. */
  follow(versions: Versions): Promise<void> {
    this.#following = this.#follow(versions);
    return this.#following;
  }

  async #follow(versions: Versions): Promise<void> {
    if (this.#stopped) return;
    if (versions.backlog.length === 0) return this.#end();
    this.#inbox ??= this.#read(versions);
    const { pool, source, group, onCommitted } = this.#options;
    if (await handOverIdle(pool, source, group)) onCommitted();
  }

  /** Stops reading, and follows no versions any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled([this.#following]);
    await this.#end();
  }

  async #end(): Promise<void> {
    const inbox = this.#inbox;
    this.#inbox = undefined;
    await inbox?.stop();
  }

  #read(versions: Versions): Inbox {
    const { group, topics, pool, kafka, log, source, onCommitted, now = Date.now } = this.#options;
    const own = backfillGroup(group);
    const engine = new Engine({ group: own, pool, source, versions, now });
    const inbox = new Inbox({
      group: own,
      topics,
      pool,
      kafka,
      log,
      health: new Health(), // a service that builds a version is as ready as before
      handle: (tx, events) => engine.handle(tx, events),
      accumulator: new BackfillAccumulator(engine, source),
      maxBatch: 250,
      rereads: true,
      decode: decodeLazily,
      sessionMs,
      onCommitted,
    });
    log.info({ group: own, queries: versions.building.map(({ query }) => query.name) }, 'reading events again');
    inbox.start();
    return inbox;
  }
}

/** Hands versions over where there is nothing to read any more, so that no batch does it. @returns whether there were any */
export async function handOverIdle(pool: Pool, source: VersionSource, group: string): Promise<boolean> {
  return transaction(pool, async (tx) => {
    const reached = await holdReached(tx, group);
    if (reached.length === 0) return false;
    await holdVersions(tx);
    return handOver(tx, await source.load(tx), reached);
  });
}

/** Hands versions over in the transaction that has brought them far enough. */
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
  readonly #reached = new Map<string, Reached>();

  constructor(own: QueryAccumulation, source: VersionSource) {
    this.#own = own;
    this.#source = source;
  }

  add(stretch: Stretch): void {
    this.#own.add(stretch);
    const { topic, partition, next } = stretch;
    this.#reached.set(nameOf(stretch), { topic, partition, next });
  }

  async write(tx: PoolClient): Promise<void> {
    const { versions } = this.#own;
    const near = [...this.#reached.values()].filter((place) => versions.arrivals(place, place.next).plans.length > 0);
    const held = await holdBehind(tx, versions.group, near); // before the windows: so does the own group
    await this.#own.write(tx);
    if (held.length > 0) await handOver(tx, await this.#source.load(tx), held);
  }
}
