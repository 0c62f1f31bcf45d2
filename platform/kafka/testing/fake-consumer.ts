import { messageOf, PlatformError } from '#platform/errors';
import { backoffMs, pause } from '#platform/lifecycle';
import type { ConsumerHandle, ConsumerOptions, IncomingBatch, IncomingMessage, TopicPartition } from '../port.ts';
import { nameOf } from '../topic-name.ts';
import { brokerError } from './fake-error.ts';
import type { FakeGroup, Membership } from './fake-group.ts';
import type { Network } from './network.ts';

const heartbeatMs = 1_000;
const fetchWaitMs = 500;
/** how many messages of a partition a fetch has at most */
const fetchMessages = 100;
/** the pause before a batch comes again, and before another attempt to fetch */
const againMs = 20;
/** after so many failures in a row, the consumer rejoins */
const failuresToRejoin = 5;
const backoff = { firstMs: 50, maxMs: 1_000 };

/** The brokers, as a consumer sees them. */
export interface FakeBrokers {
  network: Network;
  groupOf(name: string): FakeGroup;
  /** The messages of a partition from an offset on, and the end of its log. */
  read(at: TopicPartition, from: bigint, most: number): { messages: IncomingMessage[]; end: bigint };
  /** Resolves when something is appended to any log. */
  appended(): Promise<void>;
}

/** Where the consumer is in a partition. */
interface Position {
  next: bigint;
  /** counts the seeks */
  seeks: number;
  isPaused: boolean;
}

/** A consumer of the fake, with the guarantees of the port. */
export class FakeConsumer implements ConsumerHandle {
  readonly #options: ConsumerOptions;
  readonly #brokers: FakeBrokers;
  readonly #id: string;
  readonly #group: FakeGroup;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #membership: Membership | undefined;
  #positions = new Map<string, Position>();
  #reason = 'not started';
  #missing: readonly string[] = [];
  #beatDue = 0;

  constructor(id: string, options: ConsumerOptions, brokers: FakeBrokers) {
    this.#id = id;
    this.#options = options;
    this.#brokers = brokers;
    this.#group = brokers.groupOf(options.group);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
    this.#membership = undefined;
  }

  seek({ offset, ...at }: TopicPartition & { offset: bigint }): void {
    const position = this.#positions.get(nameOf(at));
    if (position) Object.assign(position, { next: offset, seeks: position.seeks + 1 });
  }

  pause(at: TopicPartition): void {
    const position = this.#positions.get(nameOf(at));
    if (position) position.isPaused = true;
  }

  resume(at: TopicPartition): void {
    const position = this.#positions.get(nameOf(at));
    if (position) position.isPaused = false;
  }

  async commit(offsets: (TopicPartition & { offset: bigint })[]): Promise<void> {
    if (!this.#membership || offsets.length === 0) return;
    const { generation } = this.#membership;
    await this.#brokers.network('commit', () => {
      this.#group.beat(this.#id, generation);
      for (const { topic, partition, offset } of offsets)
        this.#group.committed.set(nameOf({ topic, partition }), { topic, partition, offset });
    });
  }

  checkJoined(): void {
    if (!this.#membership)
      throw new PlatformError('ERR_KAFKA_NOT_JOINED', `not in the group ${this.#options.group}: ${this.#reason}`);
  }

  get missingTopics(): readonly string[] {
    return this.#missing;
  }

  waitsFor(): undefined {
    // the brokers of this fake have no transactions
  }

  checkTopics(): void {
    const { group } = this.#options;
    if (this.#missing.length > 0)
      throw new PlatformError('ERR_KAFKA_TOPICS_UNREAD', `${group} does not read ${this.#missing.join(', ')}`);
  }

  checkAlive(): void {
    // its loop waits for the brokers alone
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { topics, sessionMs = 4_000 } = this.#options;
    for (let failures = 0; !signal.aborted;) {
      try {
        const membership = await this.#brokers.network('join', () => {
          this.#missing = this.#group.missing(topics);
          return this.#group.join(this.#id, topics, sessionMs);
        });
        if (signal.aborted) break;
        failures = 0;
        this.#enter(membership);
        while (!signal.aborted) await this.#poll(membership);
      } catch (error) {
        this.#reason = messageOf(error);
        failures += 1;
        this.#membership = undefined;
        await pause(backoffMs(failures, backoff), signal);
      }
    }
    // a member that cannot say that it leaves is missed at the end of its session
    await this.#leave().catch(() => undefined);
  }

  #leave(): Promise<void> {
    return this.#brokers.network(`leave ${this.#options.group}`, () => this.#group.leave(this.#id));
  }

  #enter(membership: Membership): void {
    const { from, onAssigned } = this.#options;
    this.#membership = membership;
    this.#beatDue = performance.now() + heartbeatMs;
    this.#positions = new Map(
      membership.partitions.map((at) => {
        const start = from === 'earliest' ? 0n : this.#brokers.read(at, 0n, 0).end;
        const next = this.#group.committed.get(nameOf(at))?.offset ?? start;
        return [nameOf(at), { next, seeks: 0, isPaused: false }];
      }),
    );
    onAssigned?.(membership.partitions);
  }

  async #beat({ generation }: Membership): Promise<void> {
    await this.#brokers.network('heartbeat', () => this.#group.beat(this.#id, generation));
    this.#beatDue = performance.now() + heartbeatMs;
  }

  /** One fetch, and the batches in it. @throws if the consumer has to join again */
  async #poll(membership: Membership): Promise<void> {
    const { signal } = this.#stopping;
    if (performance.now() >= this.#beatDue) await this.#beat(membership);
    if (this.#group.missing(this.#missing).length < this.#missing.length) {
      await this.#leave().catch(() => undefined);
      throw brokerError('REBALANCE_IN_PROGRESS', 'a topic is there that was missing');
    }
    const appended = this.#brokers.appended(); // what comes after the fetch ends the wait for it
    let batches: IncomingBatch[];
    try {
      batches = await this.#brokers.network('fetch', () => this.#fetch(membership));
    } catch (error) {
      // as with kafkajs, a lost connection is made again, and a member whose topic is gone leaves its partitions
      if (typeOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION') return pause(againMs, signal);
      await this.#leave().catch(() => undefined);
      throw error;
    }
    if (signal.aborted) return;
    if (batches.length === 0) {
      const ended = new AbortController();
      await Promise.race([appended, pause(fetchWaitMs, AbortSignal.any([signal, ended.signal]))]);
      ended.abort();
      return;
    }
    const { concurrency = batches.length } = this.#options;
    const waiting = [...batches];
    const work = async () => {
      for (let batch = waiting.shift(); batch; batch = waiting.shift()) await this.#hand(batch);
    };
    const outcomes = await Promise.allSettled(Array.from({ length: Math.min(concurrency, batches.length) }, work));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  #fetch({ partitions }: Membership): IncomingBatch[] {
    return partitions.flatMap((at) => {
      const position = this.#positions.get(nameOf(at))!;
      if (position.isPaused) return [];
      const { next, seeks } = position;
      const { messages, end } = this.#brokers.read(at, next, fetchMessages);
      if (messages.length === 0) return [];
      return {
        ...at,
        fetchedOffset: next,
        nextOffset: messages.at(-1)!.offset + 1n,
        highWatermark: end,
        messages,
        isStale: () => this.#positions.get(nameOf(at)) !== position || position.seeks !== seeks,
        heartbeat: () => this.#beatInBatch(),
      };
    });
  }

  /** As with kafkajs, the heartbeat is of the member, also where it has joined again since the fetch. @throws in a rebalance */
  async #beatInBatch(): Promise<void> {
    const generation = this.#membership?.generation ?? 0;
    try {
      await this.#brokers.network('heartbeat', () => this.#group.beat(this.#id, generation));
    } catch (error) {
      if (isOfGroup(error)) throw error;
    }
  }

  /** Hands over a batch until it is handled, a seek has moved the position, or it has failed too often. */
  async #hand(batch: IncomingBatch): Promise<void> {
    const { signal } = this.#stopping;
    if (batch.isStale()) return;
    for (let failures = 0; !signal.aborted;) {
      try {
        const isHandled = await this.#options.onBatch(batch);
        const position = this.#positions.get(nameOf(batch));
        if (isHandled && position && !batch.isStale()) position.next = batch.nextOffset;
        if (!isHandled && !batch.isStale()) await pause(againMs, signal);
        return;
      } catch (error) {
        failures += 1;
        if (failures >= failuresToRejoin || isOfGroup(error)) throw error;
        await pause(againMs, signal);
      }
    }
  }
}

const typeOf = (error: unknown) => String((error as { type?: unknown }).type);
const isOfGroup = (error: unknown) => ['REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID'].includes(typeOf(error));
