import type { ReceivedEvent } from '#platform/contract';
import type { Accumulator } from '#platform/inbox';
import { Outdated } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { TopicPartition } from '#platform/kafka';
import type { Pool, PoolClient } from '#platform/postgres';
import type { Versions } from '#streams/engine';
import { assertStartsCount, lockVersionsShared, PartitionMemory, readExceptions } from '#streams/store';
import type { VersionSource } from '#streams/store';
import { QueryAccumulation } from './accumulation.ts';
import type { AccumulationOptions, SourceFeed } from './accumulation.ts';

export interface EngineOptions {
  /** the consumer group that reads the events: the live group, or its backfill */
  group: string;
  pool: Pool;
  source: VersionSource;
  /** the versions that run, as far as this process knows */
  versions: Versions;
  /** what the live stream says of the events themselves */
  feed?: SourceFeed | undefined;
  /** milliseconds since 1970 */
  now?: () => number;
}

/**
 * Runs the stream queries: turns events into rows of the transaction that also moves the offsets. The state of partitions in
 * memory is a cache of the database. Each transaction checks that the expected versions still take the events; if not, it is
 * rolled back, and the events are read again.
 */
export class Engine implements Accumulator {
  readonly #options: EngineOptions;
  readonly #memory: PartitionMemory;
  #versions: Versions;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#memory = new PartitionMemory(options.group);
    this.#versions = options.versions;
  }

  /** The versions that it expects. */
  get versions(): Versions {
    return this.#versions;
  }

  prepare(at: TopicPartition & { offset: bigint }): Promise<void> {
    return this.#memory.prepare(this.#options.pool, [at]);
  }

  begin(): QueryAccumulation {
    return this.#begin(this.#versions, this.#memory, (tx, versions, partitions) =>
      this.#confirm(tx, versions, partitions),
    );
  }

  reset(): void {
    this.#memory.reset();
  }

  #begin(versions: Versions, memory: PartitionMemory, confirm: AccumulationOptions['confirm']): QueryAccumulation {
    const { group, feed, now = Date.now } = this.#options;
    return new QueryAccumulation({ group, versions, memory, confirm, feed, now });
  }

  async #confirm(tx: PoolClient, used: Versions, partitions: readonly TopicPartition[]): Promise<void> {
    const fresh = await this.#current(tx);
    if (this.#isOther(used, fresh, partitions)) {
      this.#versions = fresh; // the inbox resets this engine before it accepts more events
      throw new Outdated('other versions of the stream queries take these events now');
    }
    await this.#assertStartsCount(tx, fresh, partitions);
    // a partition whose versions differ is detected when a transaction has events of it
    if (!this.#isOther(this.#versions, fresh, this.#memory.partitions)) this.#versions = fresh;
  }

  async #assertStartsCount(tx: PoolClient, versions: Versions, partitions: readonly TopicPartition[]): Promise<void> {
    const { group } = this.#options;
    const starting = partitions.filter((at) => versions.scheduleOf(group, at).settledFrom > 0n);
    if (starting.length > 0) await assertStartsCount(tx, group, starting);
  }

  #isOther(before: Versions, after: Versions, partitions: readonly TopicPartition[]): boolean {
    const { group } = this.#options;
    if (before.epoch === after.epoch) return false;
    return partitions.some((at) => before.scheduleOf(group, at).key !== after.scheduleOf(group, at).key);
  }

  /** The versions that run, locked until the transaction ends. */
  async #current(tx: PoolClient): Promise<Versions> {
    const epoch = await lockVersionsShared(tx);
    return epoch === this.#versions.epoch ? this.#versions : this.#options.source.load(tx);
  }

  /** Handles events at once, beside the accumulation. The events of each partition are in order. */
  handle(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
    return this.#handle(tx, events, false);
  }

  /** Handles dead letters of the live group again, for the versions that do not have them yet. */
  replay(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
    return this.#handle(tx, events, true);
  }

  async #handle(tx: PoolClient, events: readonly ReceivedEvent[], isReplay: boolean): Promise<void> {
    if (events.length === 0) return;
    const versions = await this.#current(tx);
    const partitions = [...Map.groupBy(events, nameOf).values()];
    const memory = new PartitionMemory(this.#options.group, this.#memory);
    await memory.prepare(
      tx,
      partitions.map(([first]) => first!),
    );
    const accumulation = this.#begin(versions, memory, async (_, used, own) => {
      if (!isReplay) await this.#assertStartsCount(tx, used, own); // a replay holds no offsets
    });
    const exceptions = isReplay ? await readExceptions(tx, events) : undefined;
    for (const own of partitions) {
      const { topic, partition, offset } = own.at(-1)!;
      const part = { topic, partition, events: own, next: offset + 1n };
      accumulation.add(part, exceptions?.get(nameOf(part)));
    }
    await accumulation.write(tx);
  }
}
