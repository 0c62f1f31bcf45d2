import type { Consumer, ConsumerConfig, EachBatchPayload } from 'kafkajs';
import { messageOf, PlatformError } from '#platform/errors';
import { backoffMs, pause, Ticker } from '#platform/lifecycle';
import type { Logger } from '#platform/telemetry';
import { OpenTransaction } from './fetch.ts';
import type { FetchedBatch } from './fetched-batch.ts';
import type { ConsumerHandle, ConsumerOptions, IncomingBatch, KafkaAdmin, TopicPartition } from '../port.ts';
import { isPoison } from './poison.ts';

/**
 * The group removes a member after this silence. After a crash of the member or of the broker, its partitions are read by
 * nobody that long: kafkajs has no static membership, so a member that comes back is a new one.
 */
const defaultSessionMs = 4_000;
/** the least session timeout that a broker accepts by default */
const leastSessionMs = 6_000;
/** how soon a consumer reads new partitions of its topics */
const metadataMaxAgeMs = 10_000;
/** how long members have to rejoin in a rebalance: a transaction can be running */
const rebalanceMs = 15_000;
/** how soon a member learns of a rebalance; where the session is short, the interval is a sixth of it */
const heartbeatMs = 1_000;
/** how long the broker holds a fetch that finds nothing; it answers at once when messages come, and `stop` waits for it */
const fetchWaitMs = 500;
/** bytes of a fetch: enough for several partitions, and little memory, because the next fetch is in memory, too */
const fetchBytes = 2 * 1024 * 1024;
const fetchBytesPerPartition = 1024 * 1024;
/** how many partitions of a fetch are handled at once: more than a member usually has */
const concurrentPartitions = 32;
const staleHeartbeatMs = 10_000;
const stuckMs = 90_000;
/** A partition that fails is tried again within this time. */
const failingMs = 10_000;
/** how long a partition may fail while another broker becomes its leader */
const transientMs = 5_000;
/** how often a consumer asks for the topics that it misses */
const missingMs = 5_000;
const backoff = { firstMs: 250, maxMs: 3_000 };

/**
 * A consumer over kafkajs. kafkajs gives up on errors that it does not regard as transient. So when its consumer crashes or
 * cannot connect, this class starts another one after a pause, until it is stopped.
 */
export class KafkaJsConsumer implements ConsumerHandle {
  readonly #create: (config: ConsumerConfig) => Consumer;
  readonly #admin: Pick<KafkaAdmin, 'topicId'>;
  readonly #options: ConsumerOptions;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #supervision: Promise<void> | undefined;
  #consumer: Consumer | undefined;
  #joined = false;
  #lastHeartbeat = 0;
  #lastSign = performance.now();
  /** attempts since it was last in the group */
  #failures = 0;
  #reason = 'not started';
  /** why topics cannot be read */
  #missing: ReadonlyMap<string, string> = new Map();
  #sessionMs: number;
  /** the partitions that cannot be read, by name: since when, and when last */
  readonly #failing = new Map<string, { since: number; last: number; reason: string }>();
  /** the partitions that wait for the end of a transaction, by name: when they were last seen to, and the reason */
  readonly #held = new Map<string, { last: number; reason: string }>();
  /** the partitions of which a fetch has just brought nothing: kafkajs takes that for an empty batch */
  readonly #withoutRecords = new Set<string>();

  /** @param create makes a consumer of kafkajs whose `disconnect` is final */
  constructor(
    create: (config: ConsumerConfig) => Consumer,
    admin: Pick<KafkaAdmin, 'topicId'>,
    options: ConsumerOptions,
    log: Logger,
  ) {
    this.#create = create;
    this.#admin = admin;
    this.#options = options;
    this.#log = log;
    this.#sessionMs = options.sessionMs ?? defaultSessionMs;
  }

  start(): void {
    this.#supervision ??= this.#supervise();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#supervision;
  }

  seek({ topic, partition, offset }: TopicPartition & { offset: bigint }): void {
    if (this.#joined) this.#consumer?.seek({ topic, partition, offset: String(offset) });
  }

  pause({ topic, partition }: TopicPartition): void {
    if (this.#joined) this.#consumer?.pause([{ topic, partitions: [partition] }]);
  }

  resume({ topic, partition }: TopicPartition): void {
    if (this.#joined) this.#consumer?.resume([{ topic, partitions: [partition] }]);
  }

  async commit(offsets: (TopicPartition & { offset: bigint })[]): Promise<void> {
    if (!this.#joined || offsets.length === 0) return;
    await this.#consumer?.commitOffsets(offsets.map((at) => ({ ...at, offset: String(at.offset) })));
  }

  checkJoined(): void {
    if (!this.#joined)
      throw new PlatformError('ERR_KAFKA_NOT_JOINED', `not in the group ${this.#options.group}: ${this.#reason}`);
    const silentMs = performance.now() - this.#lastHeartbeat;
    if (silentMs > staleHeartbeatMs) {
      throw new PlatformError(
        'ERR_KAFKA_HEARTBEAT',
        `no heartbeat to the group ${this.#options.group} for ${Math.round(silentMs / 1000)} s`,
      );
    }
    const now = performance.now();
    const failing = [...this.#failing].filter(
      ([, { since, last }]) => now - last < failingMs && last - since > transientMs,
    );
    if (failing.length > 0) {
      const sentences = failing.map(([name, { reason }]) => `${name}: ${reason}`);
      throw new PlatformError('ERR_KAFKA_PARTITION', `partitions cannot be read: ${sentences.join('; ')}`);
    }
  }

  waitsFor({ topic, partition }: TopicPartition): string | undefined {
    const held = this.#held.get(`${topic}/${partition}`);
    return held && performance.now() - held.last < failingMs ? held.reason : undefined;
  }

  get missingTopics(): string[] {
    return [...this.#missing.keys()];
  }

  checkTopics(): void {
    if (this.#missing.size > 0) throw missingTopics(this.#options.group, this.#missing);
  }

  checkAlive(): void {
    const silentMs = performance.now() - this.#lastSign;
    if (this.#supervision && silentMs > stuckMs) {
      throw new PlatformError(
        'ERR_KAFKA_STUCK',
        `the consumer of ${this.#options.group} has shown no activity for ${Math.round(silentMs / 1000)} s`,
      );
    }
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#sign();
      try {
        if (await this.#attempt(signal)) continue;
      } catch (error) {
        this.#reason = messageOf(error);
      }
      this.#joined = false;
      if (signal.aborted) break;
      this.#failures += 1;
      const { group } = this.#options;
      this.#log[this.#failures === 1 ? 'warn' : 'debug'](
        { group, reason: this.#reason },
        'the consumer cannot reach Kafka and keeps trying',
      );
      await pause(backoffMs(this.#failures, backoff), signal);
    }
  }

  /**
   * Runs a kafkajs consumer: resolves when it has crashed, is stopped, or has to subscribe anew.
   * @returns whether a topic that was missing can be read now
   */
  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { group } = this.#options;
    const consumer = this.#create({
      groupId: group,
      sessionTimeout: this.#sessionMs,
      rebalanceTimeout: Math.max(this.#sessionMs, rebalanceMs),
      metadataMaxAge: metadataMaxAgeMs,
      heartbeatInterval: Math.min(heartbeatMs, this.#sessionMs / 6),
      maxWaitTimeInMs: fetchWaitMs,
      minBytes: 1,
      maxBytes: fetchBytes,
      maxBytesPerPartition: fetchBytesPerPartition,
      allowAutoTopicCreation: false,
      retry: { retries: 5, initialRetryTime: 100, maxRetryTime: 1_000, restartOnFailure: () => Promise.resolve(false) },
    });
    const ended = Promise.withResolvers<boolean>();
    const stop = () => ended.resolve(false);
    const search = new Ticker({
      name: `missing topics of ${group}`,
      everyMs: missingMs,
      log: this.#log,
      run: async () => {
        if (await this.#isOneThere()) ended.resolve(true);
      },
    });
    consumer.on('consumer.crash', ({ payload }) => {
      this.#reason = payload.error.message;
      if ((payload.error as { type?: string }).type === 'INVALID_SESSION_TIMEOUT') this.#sessionMs = leastSessionMs;
      ended.resolve(false);
    });
    consumer.on('consumer.group_join', ({ payload }) => this.#onJoin(consumer, payload.memberAssignment));
    consumer.on('consumer.heartbeat', () => {
      this.#lastHeartbeat = this.#sign();
    });
    consumer.on('consumer.fetch', () => {
      this.#failures = 0; // a consumer that joins and crashes at its first fetch, again and again, is logged once
      this.#sign();
    });
    consumer.on('consumer.end_batch_process', ({ payload: { topic, partition, batchSize, lastOffset } }) => {
      if (batchSize === 0 && !this.#withoutRecords.delete(`${topic}/${partition}`))
        this.#options.onPassed?.({ topic, partition, offset: BigInt(lastOffset) + 1n });
    });
    try {
      await consumer.connect();
      await this.#subscribe(consumer);
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) return false;
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: this.#options.concurrency ?? concurrentPartitions,
        eachBatch: (payload) => this.#onBatch(payload),
      });
      if (this.#missing.size > 0) search.start();
      return await ended.promise;
    } finally {
      signal.removeEventListener('abort', stop);
      await search.stop();
      // finishes the running batch, leaves the group, closes the connections; after a crash it has nothing to do
      await consumer.disconnect();
    }
  }

  /** One topic after the other: kafkajs asks for all together, and gets none where one of them is missing or forbidden. */
  async #subscribe(consumer: Consumer): Promise<void> {
    const { group, topics, from } = this.#options;
    const missing = new Map<string, string>();
    for (const topic of topics) {
      try {
        await consumer.subscribe({ topics: [topic], fromBeginning: from === 'earliest' });
      } catch (error) {
        missing.set(topic, messageOf(error));
        if (!isPoison(error) || missing.size === topics.length) throw error;
      }
    }
    if (missing.size > this.#missing.size) this.#log.warn({ group }, missingTopics(group, missing).message);
    this.#missing = missing;
  }

  async #isOneThere(): Promise<boolean> {
    for (const topic of this.#missing.keys()) {
      const isThere = await this.#admin.topicId(topic).then(
        () => true,
        () => false,
      );
      if (isThere) return true;
    }
    return false;
  }

  #onJoin(consumer: Consumer, assignment: Record<string, number[]>): void {
    if (this.#stopping.signal.aborted) return; // kafkajs ends what it has begun, then leaves the group
    this.#consumer = consumer;
    this.#joined = true;
    this.#failing.clear();
    this.#held.clear();
    this.#withoutRecords.clear();
    const paused = consumer.paused(); // in an earlier assignment
    if (paused.length > 0) consumer.resume(paused);
    this.#lastHeartbeat = this.#sign();
    const partitions = Object.entries(assignment).flatMap(([topic, numbers]) =>
      numbers.map((partition) => ({ topic, partition })),
    );
    this.#log.info({ group: this.#options.group, assignment }, 'joined the consumer group');
    this.#options.onAssigned?.(partitions);
  }

  async #onBatch(payload: EachBatchPayload): Promise<void> {
    const { failure, messages } = fetchedBatchOf(payload);
    const name = `${payload.batch.topic}/${payload.batch.partition}`;
    if (failure) this.#withoutRecords.add(name);
    if (failure instanceof OpenTransaction) {
      this.#held.set(name, { last: performance.now(), reason: failure.message });
      return;
    }
    this.#held.delete(name);
    if (failure) return this.#onFailure(payload.batch, failure);
    if (payload.isStale()) return;
    const handled = await this.#options.onBatch(toIncoming(payload));
    if (handled) payload.resolveOffset(String(messages.at(-1)!.offset)); // kafkajs goes on behind the batch
  }

  /** Notes that a partition is not read now; it is asked for again, and fails again or not. */
  #onFailure({ topic, partition }: TopicPartition, { message: reason }: Error): void {
    const name = `${topic}/${partition}`;
    const now = performance.now();
    const before = this.#failing.get(name);
    const isNew = !before || now - before.last > failingMs;
    this.#failing.set(name, { since: isNew ? now : before.since, last: now, reason });
    const { group } = this.#options;
    const log = this.#log;
    if (isNew)
      log.warn({ group, topic, partition, reason }, 'a partition cannot be read now: the others go on without it');
  }

  #sign(): number {
    this.#lastSign = performance.now();
    return this.#lastSign;
  }
}

function missingTopics(group: string, missing: ReadonlyMap<string, string>): PlatformError {
  const reasons = [...missing].map(([topic, reason]) => `${topic} (${reason})`);
  return new PlatformError(
    'ERR_KAFKA_TOPICS_UNREAD',
    `${group} reads its other topics, but not ${reasons.join(', ')}: create it, or let this user read it`,
  );
}

const groupChanges = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'NOT_COORDINATOR_FOR_GROUP',
]);

/** Sends a heartbeat. Only a change of the group concerns a running batch: kafkajs handles lost connections itself. */
async function beat(payload: EachBatchPayload): Promise<void> {
  try {
    await payload.heartbeat();
  } catch (error) {
    if (groupChanges.has((error as { type?: string }).type ?? '')) throw error;
  }
}

/** kafkajs has it from `patches.ts`. */
const fetchedBatchOf = ({ batch }: EachBatchPayload) => batch as unknown as FetchedBatch;

function toIncoming(payload: EachBatchPayload): IncomingBatch {
  const { topic, partition, fetchedOffset, nextOffset, highWatermark, messages } = fetchedBatchOf(payload);
  return {
    topic,
    partition,
    fetchedOffset: BigInt(fetchedOffset),
    nextOffset,
    highWatermark: BigInt(highWatermark),
    messages,
    isStale: () => payload.isStale(),
    heartbeat: () => beat(payload),
  };
}
