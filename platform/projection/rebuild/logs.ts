import { messageOf, PlatformError } from '#platform/errors';
import { isRecreated, loadOffsets } from '#platform/inbox';
import { nameOf } from '#platform/kafka';
import type { KafkaAdmin, TopicPartition, Watermarks } from '#platform/kafka';
import { Unavailable } from '#platform/postgres';
import type { Pool } from '#platform/postgres';

/** Thrown when the offsets of a build no longer count in the log that the version in use reads. */
export class TopicChanged extends PlatformError {
  override name = 'TopicChanged';

  constructor(topic: string) {
    super(
      'ERR_PROJECTION_TOPIC_CHANGED',
      `the version in use reads another log of ${topic} than the new one, or reads it again: the topic was created again, truncated or ` +
        'moved back. Ask for another rebuild when the version in use reads it',
    );
  }
}

/** What Kafka tells of the logs. */
export interface Look {
  /** how many messages the build has read, and how many it has before it; undefined while Kafka does not tell */
  figures: { events: bigint; lag: bigint } | undefined;
  /** why it does not go on everywhere */
  obstacle: string | undefined;
  /** where logs begin after the next offset of the build */
  starts: (TopicPartition & { offset: bigint })[];
}

/** The logs that a build reads: of which topics they are, and where they begin and end. */
export class Logs {
  readonly #admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'>;
  readonly #topics: readonly string[];
  /** the ids of the topics that the offsets of the build count in, by partition */
  #topicIds: ReadonlyMap<string, string | undefined> = new Map();
  /** as last known, by partition */
  readonly #watermarks = new Map<string, Watermarks>();

  constructor(admin: Pick<KafkaAdmin, 'knownWatermarks' | 'topicId'>, topics: readonly string[]) {
    this.#admin = admin;
    this.#topics = topics;
  }

  /**
   * The next offsets of a build in its partitions, by name.
   * @throws TopicChanged; Unavailable while Kafka does not tell the ids of the topics
   */
  async locate(pool: Pool, group: string, partitions: readonly TopicPartition[]): Promise<Map<string, bigint>> {
    const ids = new Map<string, string | undefined>();
    for (const topic of new Set(partitions.map((partition) => partition.topic)))
      ids.set(
        topic,
        await this.#admin.topicId(topic).catch((cause: unknown) => {
          throw new Unavailable(`Kafka does not tell the id of ${topic}`, { cause });
        }),
      );
    const starts = partitions.map((partition) => ({ ...partition, offset: 0n, topicId: ids.get(partition.topic) }));
    const stored = await loadOffsets(pool, group, starts);
    const own = starts.map((start) => ({ ...start, ...stored.get(nameOf(start))! }));
    this.#topicIds = new Map(own.map((at) => [nameOf(at), at.topicId]));
    for (const start of starts) this.check(start, start.topicId);
    return new Map(own.map((at) => [nameOf(at), at.offset]));
  }

  /** @throws TopicChanged if the offset of the build counts in another topic than that of this id */
  check(partition: TopicPartition, topicId: string | undefined): void {
    if (isRecreated(this.#topicIds.get(nameOf(partition)), topicId)) throw new TopicChanged(partition.topic);
  }

  /**
   * Asks Kafka for the logs. @param next the next offsets of the build, by partition
   * @throws TopicChanged: the consumer does not notice that a topic is another one
   */
  async look(next: ReadonlyMap<string, bigint>): Promise<Look> {
    let [events, lag] = [0n, 0n];
    const starts: Look['starts'] = [];
    const leaderless: string[] = [];
    for (const topic of this.#topics) {
      const log = await this.#ask(topic);
      if (typeof log === 'string') return { figures: undefined, obstacle: log, starts };
      for (const [partition, known] of log.watermarks) {
        const name = nameOf({ topic, partition });
        this.check({ topic, partition }, log.topicId);
        if (known) this.#watermarks.set(name, known);
        else leaderless.push(name);
        const { low, high } = this.#watermarks.get(name) ?? { low: 0n, high: 0n };
        const offset = next.get(name) ?? low;
        if (low > offset) starts.push({ topic, partition, offset: low });
        events += offset > low ? offset - low : 0n;
        lag += high > offset ? high - offset : 0n;
      }
    }
    const obstacle = leaderless.length > 0 ? `partitions have no leader: ${leaderless.join(', ')}` : undefined;
    return { figures: { events, lag }, obstacle, starts };
  }

  /** @returns a sentence where Kafka does not tell */
  async #ask(topic: string) {
    try {
      const watermarks = await this.#admin.knownWatermarks(topic);
      return { watermarks, topicId: await this.#admin.topicId(topic) };
    } catch (error) {
      return `Kafka does not tell the offsets of ${topic}: ${messageOf(error)}`;
    }
  }
}
