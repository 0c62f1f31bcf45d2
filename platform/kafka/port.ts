// The port to Kafka: the rest of the code knows only these types; `createKafka` alone decides which client implements them.
// The tests in testing/*-conformance.ts define the guarantees; every implementation passes them.
export { createKafka } from './kafkajs/kafkajs.ts';
export type { KafkaConnection } from './kafkajs/client.ts';
export { createKafkaManager } from './kafkajs/manager.ts';
export { KafkaUnreachable, errorCodeOf, refusalOf, sendTimeoutMs } from './errors.ts';
export type { Refusal } from './errors.ts';

/** A message to send. */
export interface OutgoingMessage {
  key: string;
  value: Buffer;
  headers: Record<string, string>;
  /** milliseconds since 1970; default: the time of the send */
  timestamp?: number;
}

/** Messages of one partition that are encoded as records of Kafka's log. */
export interface EncodedMessages {
  count: number;
  bytes: Buffer;
  /** the time of all of them, in milliseconds since 1970 */
  timestamp: number;
}

export interface SendOptions {
  /** how long after its begin a send that failed may be attempted again, in milliseconds; default: `sendTimeoutMs` */
  retryMs?: number;
}

/** Sends messages, acknowledged by all in-sync replicas. */
export interface Producer {
  /** How many partitions a topic has. @throws if the topic does not exist */
  partitionsOf(topic: string): Promise<number>;
  /** The partition that Kafka's Java client chooses for the key. */
  partitionFor(topic: string, key: string): Promise<number>;
  /**
   * Appends the messages to one partition, in order. Resolves when the broker has acknowledged exactly this append, and
   * settles within `sendTimeoutMs` in any case. The messages of a failed send can be in the log.
   * @returns the offset of the first of them
   * @throws SendFailed
   */
  send(
    topic: string,
    partition: number,
    messages: readonly OutgoingMessage[] | EncodedMessages,
    options?: SendOptions,
  ): Promise<bigint>;
  close(): Promise<void>;
}

/** A message of a partition. Its key and its header values are decoded as UTF-8. */
export interface IncomingMessage {
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  value: Buffer | null;
  /** the value in the bytes of the fetch: reading it there saves a buffer */
  valueRange?: ByteRange | null;
  headers: Record<string, string>;
  /** milliseconds since 1970 */
  timestamp: number;
  /** the message as it is in the log */
  raw?(): RawRecord;
  /**
   * Present where this is no message, but stands for those from its offset to `last`, which cannot be read: it has no key, no value,
   * no headers and no time.
   */
  unreadable?: { last: bigint; error: Error };
}

/** A record as it is in the log: without the losses of decoding it as UTF-8 and of naming each header once. */
export interface RawRecord {
  key: Buffer | null;
  value: Buffer | null;
  /** in their order, with repetitions */
  headers: (readonly [name: Buffer, value: Buffer | null])[];
  /** milliseconds since 1970; any 64-bit number */
  timestamp: bigint;
}

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  bytes: Buffer;
  start: number;
  end: number;
}

/** The messages of one partition in a fetch: at least one. */
export interface IncomingBatch {
  topic: string;
  partition: number;
  /** the requested offset; the first message has a higher one if the log was compacted */
  fetchedOffset: bigint;
  /** the offset after the batch; higher than that of the last message plus one if transaction markers or compacted records follow */
  nextOffset: bigint;
  /** the offset after the last message that consumers can read */
  highWatermark: bigint;
  messages: IncomingMessage[];
  /** whether a seek has moved the position since the fetch */
  isStale(): boolean;
  /** Keeps this member in the group. @throws in a rebalance: the batch must be discarded */
  heartbeat(): Promise<void>;
}

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface ConsumerOptions {
  group: string;
  topics: readonly string[];
  /** where to begin if the group has committed no offset */
  from: 'earliest' | 'latest';
  /**
   * The session timeout in milliseconds, after which the group assigns the partitions of a silent member to others; default
   * 4,000. If the broker refuses it (`group.min.session.timeout.ms`), 6,000 is used.
   */
  sessionMs?: number;
  /** how many batches of a fetch are handled at once; default: all */
  concurrency?: number;
  /**
   * Called after each (re)join of the group, before the first batch of the new assignment, none of whose partitions is paused; not
   * after `stop`. Must not throw.
   */
  onAssigned?(partitions: TopicPartition[]): void;
  /**
   * Called when the position has moved to `offset` without a batch: the records before it are not for consumers (transaction
   * markers, messages of aborted transactions) or compacted. Must not throw.
   */
  onPassed?(position: TopicPartition & { offset: bigint }): void;
  /**
   * Handles a batch. Batches of different partitions come concurrently; the next fetch is handled after all of them. When it
   * resolves with true, the position moves past the batch. When it resolves with false or fails, the batch is handled again,
   * unless a seek has moved the position; when it fails again and again, the consumer rejoins.
   */
  onBatch(batch: IncomingBatch): Promise<boolean>;
}

/** A member of a consumer group. After any failure of brokers and connections it rejoins by itself, with backoff. */
export interface ConsumerHandle {
  start(): void;
  /** Finishes the running batch and leaves the group. */
  stop(): Promise<void>;
  seek(position: TopicPartition & { offset: bigint }): void;
  pause(partition: TopicPartition): void;
  resume(partition: TopicPartition): void;
  /** Commits offsets to Kafka, for tools that show lag. */
  commit(offsets: (TopicPartition & { offset: bigint })[]): Promise<void>;
  /** @throws while this is not a member of its group */
  checkJoined(): void;
  /** Why a partition brings nothing though there is more in its log: a transaction of another program is open. Else undefined. */
  waitsFor(partition: TopicPartition): string | undefined;
  /** The topics that do not exist or are forbidden: it reads the others, and these when they can be read. */
  readonly missingTopics: readonly string[];
  /** @throws while there are such topics */
  checkTopics(): void;
  /** @throws if there was no heartbeat and no attempt to join for so long that the consumer must be stuck */
  checkAlive(): void;
}

export interface TopicDeclaration {
  name: string;
  partitions: number;
  /** milliseconds; -1 keeps everything */
  retentionMs: number;
}

/** The first offset of a partition, and the offset after its last one, also where consumers wait for the end of a transaction. */
export interface Watermarks {
  low: bigint;
  high: bigint;
}

export interface KafkaAdmin {
  /** The names of the topics that this client is allowed to see. */
  topics(): Promise<string[]>;
  /** Creates the missing topics, and leaves the others as they are. @returns the names of the created topics */
  ensureTopics(topics: readonly TopicDeclaration[]): Promise<string[]>;
  /**
   * The id of a topic, 32 hexadecimal digits: a topic that is deleted and created again gets another one (KIP-516). Undefined if
   * the brokers are older than Kafka 3.1. @throws if the topic does not exist
   */
  topicId(topic: string): Promise<string | undefined>;
  /**
   * The watermarks of each partition of a topic, by partition.
   * @throws if the topic does not exist; ERR_KAFKA_NO_LEADER while a partition has no leader
   */
  watermarks(topic: string): Promise<Map<number, Watermarks>>;
  /** The same, with undefined for a partition without a leader. @throws if the topic does not exist */
  knownWatermarks(topic: string): Promise<Map<number, Watermarks | undefined>>;
  /**
   * The first offset of each partition with a record of this time (milliseconds since 1970) or later; where there is none, the end
   * of the log. @throws if the topic does not exist; ERR_KAFKA_NO_LEADER while a partition has no leader
   */
  offsetsAt(topic: string, time: number): Promise<Map<number, bigint>>;
  /** The names of the consumer groups that this client is allowed to see. */
  groups(): Promise<string[]>;
  /** The committed offsets of a group; partitions without one are left out. */
  committed(group: string, topics: readonly string[]): Promise<(TopicPartition & { offset: bigint })[]>;
}

/** The connection of a service to Kafka. */
export interface Kafka {
  /** @throws KafkaUnreachable */
  producer(): Promise<Producer>;
  consumer(options: ConsumerOptions): ConsumerHandle;
  admin: KafkaAdmin;
  /** @throws KafkaUnreachable if no broker answers within some seconds */
  check(): Promise<void>;
  /** Stops consumers, closes producers and connections; whatever is asked for afterwards fails. */
  close(): Promise<void>;
}

/** A topic as it is. */
export interface ManagedTopic {
  /** as of `KafkaAdmin.topicId` */
  id: string | undefined;
  partitions: number;
  /** of each partition */
  replicas: number;
}

/** A right of a user: an operation on a topic or a group, or on all whose names begin so. */
export interface Acl {
  resource: { type: 'topic' | 'group'; name: string; patternType: 'literal' | 'prefix' };
  operation: 'Read' | 'Write' | 'Describe';
}

/**
 * Changes topics and rights, as an operator does: no service needs it. A refusal of the brokers has a code of Kafka's, which
 * `errorCodeOf` tells. @throws KafkaUnreachable from every method
 */
export interface KafkaManager {
  /** How many brokers there are. */
  brokers(): Promise<number>;
  /** @returns undefined if the topic does not exist */
  topic(name: string): Promise<ManagedTopic | undefined>;
  /** @returns undefined if the topic exists already: it is left as it is */
  createTopic(topic: {
    name: string;
    partitions: number;
    replicas: number;
    config: Record<string, string>;
  }): Promise<ManagedTopic | undefined>;
  addPartitions(topic: string, partitions: number): Promise<void>;
  /** The settings of a topic, by Kafka's names, with the defaults of the brokers. */
  config(topic: string): Promise<Record<string, string>>;
  /** Gives settings of a topic these values, and keeps the others. */
  changeConfig(topic: string, changes: Record<string, string>): Promise<void>;
  /** Deletes a topic; it is no error if it does not exist. */
  deleteTopic(topic: string): Promise<void>;
  /** Gives a user these rights, and takes all others from it. @returns how many were given and taken */
  keepAcls(user: string, acls: readonly Acl[]): Promise<{ given: number; taken: number }>;
  close(): Promise<void>;
}
