import { toError } from '#platform/errors';
import { isRecreated } from '#platform/inbox';
import { readTopicLog } from '#platform/kafka';
import type { KafkaAdmin } from '#platform/kafka';
import type { Pool } from '#platform/postgres';
import type { Observation } from '#streams/engine';
import { StreamsError } from '#streams/errors';
import { readPositions } from '#streams/store';
import type { TopicLog } from '#streams/store';

/** The maximum age of Kafka's offsets, in milliseconds. */
const maxAgeMs = 15_000;

/** What Kafka tells of a topic, and when it was asked. */
type Answer = TopicLog & { askedAt: number };

/** Observes the ends of the topics in Kafka, and how far the group has read them. */
export class StreamObserver {
  readonly #admin: Pick<KafkaAdmin, 'topicId' | 'watermarks'>;
  readonly #pool: Pool;
  readonly #group: string;
  readonly #topics: () => readonly string[];
  /** by topic */
  readonly #answers = new Map<string, Answer>();
  /** by topic: why there was no answer the last time */
  readonly #failures = new Map<string, Error>();
  readonly #since = performance.now();

  constructor(options: {
    admin: Pick<KafkaAdmin, 'topicId' | 'watermarks'>;
    pool: Pool;
    group: string;
    topics: () => readonly string[];
  }) {
    this.#admin = options.admin;
    this.#pool = options.pool;
    this.#group = options.group;
    this.#topics = options.topics;
  }

  /** Asks Kafka for the offsets of the topics. One that it tells nothing of holds up no other. @throws if it tells nothing at all */
  async refresh(): Promise<void> {
    const askedAt = performance.now();
    const topics = this.#topics();
    await Promise.all(
      topics.map(async (topic) => {
        try {
          const log = await readTopicLog(this.#admin, topic, (name) => this.#admin.watermarks(name));
          this.#answers.set(topic, { askedAt, ...log });
          this.#failures.delete(topic);
        } catch (error) {
          this.#failures.set(topic, toError(error));
        }
      }),
    );
    const failures = topics.flatMap((topic) => this.#failures.get(topic) ?? []);
    if (failures.length > 0 && failures.length === topics.length) throw failures[0]!;
  }

  /** @throws while Kafka has told nothing of a topic for so long that its offsets are too old: the windows of its queries stay open */
  check(): void {
    const now = performance.now();
    const unknown = this.#topics().flatMap((topic) => {
      const ms = now - (this.#answers.get(topic)?.askedAt ?? this.#since);
      const reason = this.#failures.get(topic)?.message ?? 'no answer';
      return ms < maxAgeMs ? [] : `of ${topic} for ${Math.round(ms / 1_000)} s: ${reason}`;
    });
    if (unknown.length === 0) return;
    throw new StreamsError(
      'ERR_QUERY_TOPIC_UNOBSERVED',
      `windows stay open, because Kafka has told nothing ${unknown.join('; ')}`,
    );
  }

  /**
   * The state of the partitions; undefined while Kafka's offsets are too old. Kafka's offsets are older than those of the
   * database: a partition that seems to be read to its end has been so. Of a topic that was created again nothing is read until
   * the group goes on in it: the stored offset counts in the earlier one.
   */
  async observe(): Promise<Observation | undefined> {
    const since = performance.now() - maxAgeMs;
    const fresh = this.#topics().flatMap((topic) => {
      const answer = this.#answers.get(topic);
      return answer && answer.askedAt >= since ? [{ topic, ...answer }] : [];
    });
    if (fresh.length === 0) return undefined;
    const { now, partitions } = await readPositions(this.#pool, this.#group);
    return {
      now,
      known: new Set(fresh.map(({ topic }) => topic)),
      partitions: fresh.flatMap(({ topic, topicId, watermarks: logs }) =>
        [...logs].map(([partition, offsets]) => {
          const own = partitions.find((one) => one.topic === topic && one.partition === partition);
          const nextOffset = isRecreated(own?.topicId, topicId) ? undefined : own?.nextOffset;
          return { topic, partition, offsets, nextOffset, watermarks: own?.watermarks ?? new Map() };
        }),
      ),
    };
  }
}
