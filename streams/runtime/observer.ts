import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import type { Offsets, PartitionState } from '#streams/engine';
import { readPositions } from '#streams/store';

/** How old what Kafka said may be, in milliseconds. */
const maxAgeMs = 15_000;

export interface Observation {
  /** the database's time, in milliseconds since 1970 */
  now: number;
  partitions: PartitionState[];
}

/** Knows how far the topics go and how far they have been read. */
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

  /** Asks Kafka how far the topics go. */
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
   * How far everything is; undefined while Kafka's word is too old to rely on. What Kafka said is older than what the
   * database says: a partition that seems read to its end was so.
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
