import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import type { Accumulator } from '#kit/inbox/accumulation.ts';
import { nameOf } from '#kit/inbox/offsets.ts';
import type { TopicPartition } from '#kit/kafka/port.ts';
import type { Pool, PoolClient } from '#kit/pg.ts';
import type { PlanSet } from '../engine/plan.ts';
import { PartitionMemory } from '../store/partitions.ts';
import { QueryAccumulation } from './accumulation.ts';

export interface EngineOptions {
  /** the consumer group, whose watermarks these are */
  group: string;
  pool: Pool;
  plans: PlanSet;
  /** milliseconds since 1970 */
  now?: () => number;
}

/**
 * Runs the stream queries: turns events into rows of the transaction that also moves the offsets. What it remembers of
 * partitions saves reading it again; nothing is lost with it.
 */
export class Engine implements Accumulator {
  /** The queries that run; another set takes effect with the next accumulation. */
  plans: PlanSet;
  readonly #options: EngineOptions;
  readonly #memory: PartitionMemory;

  constructor(options: EngineOptions) {
    this.plans = options.plans;
    this.#options = options;
    this.#memory = new PartitionMemory(options.group);
  }

  prepare(at: TopicPartition & { offset: bigint }): Promise<void> {
    return this.#memory.prepare(this.#options.pool, [at]);
  }

  begin(): QueryAccumulation {
    return this.#begin(this.#memory);
  }

  reset(): void {
    this.#memory.reset();
  }

  #begin(memory: PartitionMemory): QueryAccumulation {
    const { group, now = Date.now } = this.#options;
    return new QueryAccumulation({ group, plans: this.plans, memory, now });
  }

  /** Handles events at once, apart from what is being accumulated; within a partition they are in order. */
  async handle(tx: PoolClient, events: readonly ReceivedEvent[]): Promise<void> {
    if (events.length === 0) return;
    const partitions = [...Map.groupBy(events, nameOf).values()];
    const memory = new PartitionMemory(this.#options.group);
    await memory.prepare(
      tx,
      partitions.map(([first]) => first!),
    );
    const accumulation = this.#begin(memory);
    for (const own of partitions) {
      const { topic, partition, offset } = own.at(-1)!;
      accumulation.add({ topic, partition, events: own, next: offset + 1n });
    }
    await accumulation.write(tx);
  }
}
