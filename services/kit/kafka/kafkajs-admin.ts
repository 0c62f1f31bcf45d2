import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import type { KafkaAdmin, TopicDeclaration, TopicPartition, Watermarks } from './port.ts';
import { topicConfig } from './topic-config.ts';

/** Brokers hear of a new topic within this time, in milliseconds. */
const knownWithinMs = 10_000;

/** Topics and offsets over kafkajs. */
export class Administration implements KafkaAdmin {
  readonly #connect: () => Promise<Admin>;

  constructor(connect: () => Promise<Admin>) {
    this.#connect = connect;
  }

  async ensureTopics(topics: readonly TopicDeclaration[]): Promise<string[]> {
    const admin = await this.#connect();
    const existing = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !existing.has(topic.name));
    if (missing.length === 0) return [];
    // resolves with false where another process was faster
    await admin.createTopics({
      waitForLeaders: false, // kafkajs fails where a broker has not heard of the topic yet
      topics: missing.map(({ name: topic, partitions, retentionMs }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: -1, // the broker's default
        configEntries: Object.entries(topicConfig(retentionMs)).map(([name, value]) => ({ name, value })),
      })),
    });
    const names = missing.map((topic) => topic.name);
    await this.#untilKnown(admin, names);
    return names;
  }

  /** Waits until topics that were just created have leaders. */
  async #untilKnown(admin: Admin, topics: string[]): Promise<void> {
    for (const end = performance.now() + knownWithinMs; ; await sleep(50)) {
      try {
        const { topics: known } = await admin.fetchTopicMetadata({ topics });
        if (known.every(({ partitions }) => partitions.length > 0)) return;
      } catch (error) {
        const { type } = error as { type?: string };
        if (type !== 'UNKNOWN_TOPIC_OR_PARTITION' && type !== 'LEADER_NOT_AVAILABLE') throw error;
        if (performance.now() > end) throw error;
      }
    }
  }

  async watermarks(topic: string): Promise<Map<number, Watermarks>> {
    const admin = await this.#connect();
    const offsets = await admin.fetchTopicOffsets(topic);
    return new Map(
      offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }] as const),
    );
  }

  async committed(group: string, topics: readonly string[]): Promise<(TopicPartition & { offset: bigint })[]> {
    const admin = await this.#connect();
    const found = await admin.fetchOffsets({ groupId: group, topics: [...topics] });
    return found.flatMap(({ topic, partitions }) =>
      partitions
        .map(({ partition, offset }) => ({ topic, partition, offset: BigInt(offset) }))
        .filter(({ offset }) => offset >= 0n),
    );
  }
}
