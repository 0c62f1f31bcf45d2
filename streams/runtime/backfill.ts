import type { DecodeEvent } from '#platform/contract';
import type { Accumulation, Accumulator, PartitionEvents } from '#platform/inbox';
import { Health } from '#platform/health';
import { Inbox, nameOf } from '#platform/inbox';
import type { IncomingMessage, Kafka, TopicPartition } from '#platform/kafka';
import type { Logger } from '#platform/telemetry';
import type { Pool, PoolClient } from '#platform/postgres';
import { transaction } from '#platform/postgres';
import { backfillGroup } from '#platform/declarations';
import type { Versions } from '#streams/engine';
import { promote, lockLagging, lockCaughtUp, lockVersionsShared } from '#streams/store';
import type { BackfillOffset, VersionSource } from '#streams/store';
import type { QueryAccumulation } from './accumulation.ts';
import { Engine } from './engine.ts';

/** After this time in milliseconds, the other workers take over the partitions of a worker that was killed. */
export const sessionMs = 3_500;

export interface BackfillOptions {
  /** the live group: the service's own consumer group */
  group: string;
  topics: readonly string[];
  pool: Pool;
  kafka: Kafka;
  log: Logger;
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
    if (await promoteIdle(pool, source, group)) onCommitted();
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
    const { group, topics, pool, kafka, log, source, decode, onCommitted, now = Date.now } = this.#options;
    const own = backfillGroup(group);
    const engine = new Engine({ group: own, pool, source, versions, now });
    const inbox = new Inbox({
      group: own,
      topics,
      pool,
      kafka,
      log,
      health: new Health(), // a backfill does not change the readiness of the service
      handle: (tx, events) => engine.handle(tx, events),
      accumulator: new BackfillAccumulator(engine, source),
      maxBatch: 250,
      mode: 'backfill',
      decode,
      sessionMs,
      onCommitted,
    });
    log.info({ group: own, queries: versions.building.map(({ query }) => query.name) }, 'reading events again');
    inbox.start();
    return inbox;
  }
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
