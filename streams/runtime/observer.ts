import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import type { Offsets, PartitionState } from '#streams/engine';
import { readPositions } from '#streams/store';

/** The maximum age of Kafka's offsets, in milliseconds. */
const maxAgeMs = 15_000;

export interface Observation {
  /** the database's time, in milliseconds since 1970 */
  now: number;
  partitions: PartitionState[];
}

/** Observes the ends of the topics in Kafka, and how far the group has read them. */
export class StreamObserver {
  readonly #admin: Pick<KafkaAdmin, 'watermarks'>;
  readonly #pool: Pool;
  readonly #group: string;
  readonly #topics: () => readonly string[];
  #offsets: { topic: string; partition: number; offsets: Offsets }[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(options: {
    admin: Pick<KafkaAdmin, 'watermarks'>;
    pool: Pool;
    group: string;
    topics: () => readonly string[];
  }) {
    this.#admin = options.admin;
    this.#pool = options.pool;
    this.#group = options.group;
    this.#topics = options.topics;
  }

  /** Asks Kafka for the offsets of the topics. */
  async refresh(): Promise<void> {
    const askedAt = performance.now();
    const topics = await Promise.all(
      this.#topics().map(async (topic) => {
        const partitions = await this.#admin.watermarks(topic);
        return [...partitions].map(([partition, offsets]) => ({ topic, partition, offsets }));
      }),
    );
    this.#offsets = topics.flat();
    this.#askedAt = askedAt;
  }

  /**
   * The state of all partitions; undefined while Kafka's offsets are too old. Kafka's offsets are older than those of the
   * database: a partition that seems to be read to its end has been so.
   */
  async observe(): Promise<Observation | undefined> {
    if (performance.now() - this.#askedAt > maxAgeMs) return undefined;
    const offsets = this.#offsets;
    const { now, partitions } = await readPositions(this.#pool, this.#group);
    return {
      now,
      partitions: offsets.map((known) => {
        const own = partitions.find(({ topic, partition }) => topic === known.topic && partition === known.partition);
        return { ...known, nextOffset: own?.nextOffset, watermarks: own?.watermarks ?? new Map() };
      }),
    };
  }
}
