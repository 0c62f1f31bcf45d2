import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { PlatformError } from '#platform/errors';
import type { KafkaAdmin, TopicDeclaration, TopicPartition, Watermarks } from '../port.ts';
import { unknownOffset } from './leaderless.ts';
import type { IdentifiedPartition } from './metadata.ts';
import { isPoison } from './poison.ts';
import { topicConfig } from '../topic-config.ts';

/** All brokers know a new topic within this time, in milliseconds. */
const knownWithinMs = 10_000;

/** The errors while a partition gets its leader: the metadata names the leader a moment before it accepts requests. */
const leaderMoves = new Set(['NOT_LEADER_FOR_PARTITION', 'LEADER_NOT_AVAILABLE']);
const defaultLeaderWithinMs = 10_000;

/** For so long, in milliseconds, a new connection is not asked again that knows no leader either. */
const leaderlessForMs = 5_000;

/** another topic may be deleted while this client asks */
const maxRenewals = 2;

/** Topics and offsets over kafkajs. */
export class KafkaJsAdmin implements KafkaAdmin {
  readonly #connect: () => Promise<Admin>;
  readonly #open: () => Promise<Admin>;
  readonly #renew: () => Promise<void>;
  readonly #leaderWithinMs: number;
  /** the end of the last request for offsets */
  #asking: Promise<unknown> = Promise.resolve();
  /** when a new connection has last known no leader either, by topic */
  readonly #leaderlessAt = new Map<string, number>();

  /**
   * @param connect the connection that all requests share
   * @param open opens another connection with fresh metadata; the caller disconnects it
   * @param renew replaces the connection that all requests share
   * @param leaderWithinMs how long a partition may take to get a leader that accepts requests
   */
  constructor(
    connect: () => Promise<Admin>,
    open: () => Promise<Admin>,
    renew: () => Promise<void>,
    leaderWithinMs = defaultLeaderWithinMs,
  ) {
    this.#connect = connect;
    this.#open = open;
    this.#renew = renew;
    this.#leaderWithinMs = leaderWithinMs;
  }

  async topics(): Promise<string[]> {
    const admin = await this.#connect();
    return admin.listTopics();
  }

  ensureTopics(topics: readonly TopicDeclaration[]): Promise<string[]> {
    return this.#inTurn(() => this.#ensureTopics(topics));
  }

  async #ensureTopics(topics: readonly TopicDeclaration[]): Promise<string[]> {
    const admin = await this.#connect();
    const existing = new Set(await this.topics());
    const wanted = topics.filter((topic) => !existing.has(topic.name));
    if (wanted.length === 0) return [];
    // resolves with false if another process has created a topic first
    await admin.createTopics({
      waitForLeaders: false, // kafkajs fails if a broker does not know the topic yet
      topics: wanted.map(({ name: topic, partitions, retentionMs }) => ({
        topic,
        numPartitions: partitions,
        replicationFactor: -1, // the broker's default
        configEntries: Object.entries(topicConfig(topic, retentionMs)).map(([name, value]) => ({ name, value })),
      })),
    });
    const names = wanted.map((topic) => topic.name);
    await this.#untilKnown(admin, names);
    return names;
  }

  /** Waits until new topics have leaders. */
  async #untilKnown(admin: Admin, topics: string[]): Promise<void> {
    for (const end = performance.now() + knownWithinMs; ; await sleep(50)) {
      try {
        const { topics: known } = await admin.fetchTopicMetadata({ topics });
        const without = known.find(({ partitions }) => !partitions.every(({ leader }) => leader >= 0));
        if (!without && known.every(({ partitions }) => partitions.length > 0)) return;
        if (performance.now() > end) throw leaderless(without?.name ?? topics.join(', '));
      } catch (error) {
        if ((error as { type?: string }).type !== 'UNKNOWN_TOPIC_OR_PARTITION' || performance.now() > end) throw error;
      }
    }
  }

  /**
   * One request after the other: kafkajs forgets a topic if the first requests for two topics run at the same time, and fails
   * a request because another one names a topic that does not exist.
   */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const answer = this.#asking.then(() => this.#askAgain(ask));
    this.#asking = answer.catch(() => undefined);
    return answer;
  }

  /** Asks again on a new connection, where the error may be about another topic. */
  async #askAgain<T>(ask: () => Promise<T>): Promise<T> {
    for (let renewals = 0; ; renewals += 1) {
      try {
        return await ask();
      } catch (error) {
        if (renewals === maxRenewals || !isPoison(error)) throw error;
        await this.#renew();
      }
    }
  }

  topicId(topic: string): Promise<string | undefined> {
    return this.#inTurn(() => this.#topicId(topic));
  }

  async #topicId(topic: string): Promise<string | undefined> {
    const admin = await this.#connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const [first] = topics.flatMap(({ partitions }) => partitions) as unknown as IdentifiedPartition[];
    return first?.topicId;
  }

  async watermarks(topic: string): Promise<Map<number, Watermarks>> {
    return whole(topic, await this.knownWatermarks(topic));
  }

  async knownWatermarks(topic: string): Promise<Map<number, Watermarks | undefined>> {
    const offsets = await this.#inTurn(() => this.#askLeaders(topic, (admin) => admin.fetchTopicOffsets(topic)));
    return new Map(
      offsets.map((one) => [
        one.partition,
        isKnown(one) ? { low: BigInt(one.low), high: BigInt(one.high) } : undefined,
      ]),
    );
  }

  /**
   * Asks the leaders of a topic's partitions. kafkajs keeps asking an old leader for minutes after another one has replaced it, or takes a
   * partition for one without a leader: then a new connection is asked.
   */
  async #askLeaders<T extends { offset: string }>(topic: string, ask: (admin: Admin) => Promise<T[]>): Promise<T[]> {
    try {
      const answers = await ask(await this.#connect());
      const leaderlessAt = this.#leaderlessAt.get(topic) ?? Number.NEGATIVE_INFINITY;
      if (answers.every(isKnown) || performance.now() - leaderlessAt < leaderlessForMs) return answers;
    } catch (error) {
      if (!isLeaderMove(error)) throw error;
    }
    for (const end = performance.now() + this.#leaderWithinMs; ; await sleep(50)) {
      const admin = await this.#open();
      try {
        const answers = await ask(admin);
        if (answers.every(isKnown)) this.#leaderlessAt.delete(topic);
        else this.#leaderlessAt.set(topic, performance.now());
        return answers;
      } catch (error) {
        if (!isLeaderMove(error) || performance.now() > end) throw error;
      } finally {
        await admin.disconnect();
      }
    }
  }

  async offsetsAt(topic: string, time: number): Promise<Map<number, bigint>> {
    const offsets = await this.#inTurn(() =>
      this.#askLeaders(topic, (admin) => admin.fetchTopicOffsetsByTimestamp(topic, time)),
    );
    return whole(topic, new Map(offsets.map((one) => [one.partition, isKnown(one) ? BigInt(one.offset) : undefined])));
  }

  groups(): Promise<string[]> {
    return this.#inTurn(async () => {
      const admin = await this.#connect();
      const { groups } = await admin.listGroups();
      return groups.map(({ groupId }) => groupId);
    });
  }

  committed(group: string, topics: readonly string[]): Promise<(TopicPartition & { offset: bigint })[]> {
    return this.#inTurn(() => this.#committed(group, topics));
  }

  async #committed(group: string, topics: readonly string[]): Promise<(TopicPartition & { offset: bigint })[]> {
    const admin = await this.#connect();
    const found = await admin.fetchOffsets({ groupId: group, topics: [...topics] });
    return found.flatMap(({ topic, partitions }) =>
      partitions
        .map(({ partition, offset }) => ({ topic, partition, offset: BigInt(offset) }))
        .filter(({ offset }) => offset >= 0n),
    );
  }
}

function isLeaderMove(error: unknown): boolean {
  return leaderMoves.has((error as { type?: string }).type ?? '');
}

/** A partition without a leader has no offset. */
const isKnown = ({ offset }: { offset: string }) => offset !== unknownOffset;

/** @throws if a partition has no leader */
function whole<T>(topic: string, partitions: ReadonlyMap<number, T | undefined>): Map<number, T> {
  const unknown = [...partitions].filter(([, value]) => value === undefined).map(([partition]) => partition);
  if (unknown.length > 0) throw leaderless(`${topic}/${unknown.join(',')}`);
  return new Map(partitions as ReadonlyMap<number, T>);
}

const leaderless = (partitions: string) => new PlatformError('ERR_KAFKA_NO_LEADER', `${partitions} has no leader`);
