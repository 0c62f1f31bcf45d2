// The port to Kafka: services and the kit know these types only, and `createKafka` alone says which client is behind them.
export { createKafka } from './kafkajs/kafkajs.ts';
export type { KafkaConnection, KafkaOptions } from './kafkajs/kafkajs.ts';
export { KafkaUnreachable, SendFailed, sendTimeoutMs } from './errors.ts';

/** A message to be sent. */
export interface OutgoingMessage {
  key: string;
  value: Buffer;
  headers: Record<string, string>;
  /** milliseconds since 1970; default: when it is sent */
  timestamp?: number;
}

/** Messages of one partition, in Kafka's own record format already. */
export interface EncodedMessages {
  count: number;
  bytes: Buffer;
  /** that of all of them, in milliseconds since 1970 */
  timestamp: number;
}

/** Sends messages, acknowledged by all in-sync replicas. */
export interface Producer {
  /** How many partitions a topic has. @throws where there is no such topic */
  partitionsOf(topic: string): Promise<number>;
  /** The partition that every Kafka client of the Java family chooses for the key. */
  partitionFor(topic: string, key: string): Promise<number>;
  /**
   * Appends the messages to one partition, in order. Resolves when the broker has acknowledged exactly this append, and
   * settles within `sendTimeoutMs` either way. A send that failed may have been appended all the same.
   * @throws SendFailed
   */
  send(topic: string, partition: number, messages: readonly OutgoingMessage[] | EncodedMessages): Promise<void>;
  close(): Promise<void>;
}

/** A message as it lies in a partition. Header values and the key are read as UTF-8. */
export interface IncomingMessage {
  topic: string;
  partition: number;
  offset: bigint;
  key: string | null;
  value: Buffer | null;
  /** where the value lies, in what a fetch brought: to read it there saves making a buffer of it */
  valueRange?: ByteRange | null;
  headers: Record<string, string>;
  /** milliseconds since 1970 */
  timestamp: number;
}

/** Bytes from `start` to before `end`. */
export interface ByteRange {
  bytes: Buffer;
  start: number;
  end: number;
}

/** What one fetch brought of one partition; never without messages. */
export interface IncomingBatch {
  topic: string;
  partition: number;
  /** the offset that was asked for; the first message may lie behind it where the log was compacted */
  fetchedOffset: bigint;
  /** the offset after the batch; the last message may lie before it where markers of transactions follow */
  nextOffset: bigint;
  /** the offset after the last message that consumers may read */
  highWatermark: bigint;
  messages: IncomingMessage[];
  /** whether the position has moved since the fetch, by a seek */
  isStale(): boolean;
  /** Tells the group that this member is at work. @throws where the partitions are given out anew: the batch is void */
  heartbeat(): Promise<void>;
}

export interface TopicPartition {
  topic: string;
  partition: number;
}

export interface ConsumerOptions {
  group: string;
  topics: readonly string[];
  /** where to begin where the group has committed no offset */
  from: 'earliest' | 'latest';
  /**
   * After how many milliseconds of silence a member is taken for gone, and its partitions go to others; default 15,000. A
   * broker may refuse less than 6,000 (`group.min.session.timeout.ms`), which is taken then.
   */
  sessionMs?: number;
  /** batches of a fetch that are handed out at once; default: all */
  concurrency?: number;
  /** Called after each (re)join of the group, before the first batch of the new assignment; not after `stop`. Must not throw. */
  onAssigned?(partitions: TopicPartition[]): void;
  /**
   * Handles a batch; batches of different partitions come concurrently, and nothing more is fetched until all of a fetch
   * are handled. The position moves behind the batch when it resolves with true.
   */
  onBatch(batch: IncomingBatch): Promise<boolean>;
}

/** A member of a consumer group that comes back by itself, with backoff, whatever happens to brokers and connections. */
export interface ConsumerHandle {
  start(): void;
  /** Finishes the batch in flight and leaves the group at once. */
  stop(): Promise<void>;
  seek(position: TopicPartition & { offset: bigint }): void;
  pause(partition: TopicPartition): void;
  resume(partition: TopicPartition): void;
  /** Tells Kafka how far the group is, for tools that show lag. */
  commit(offsets: (TopicPartition & { offset: bigint })[]): Promise<void>;
  /** @throws while it is not a member of its group */
  checkJoined(): void;
  /** @throws where neither a heartbeat nor an attempt to join has happened for so long that it must be stuck */
  checkAlive(): void;
}

export interface TopicDeclaration {
  name: string;
  partitions: number;
  /** milliseconds; -1 keeps everything */
  retentionMs: number;
}

/** The first offset that a partition still has and the one after its last. */
export interface Watermarks {
  low: bigint;
  high: bigint;
}

export interface KafkaAdmin {
  /** The names of the topics that there are, as far as this client may know of them. */
  topics(): Promise<string[]>;
  /** Creates the topics that do not exist; the others are left as they are. @returns the names of those created */
  ensureTopics(topics: readonly TopicDeclaration[]): Promise<string[]>;
  /** The watermarks of each partition of a topic, by partition. @throws where the topic does not exist */
  watermarks(topic: string): Promise<Map<number, Watermarks>>;
  /** The offsets that a group has committed, by topic and partition; without those it never committed. */
  committed(group: string, topics: readonly string[]): Promise<(TopicPartition & { offset: bigint })[]>;
}

/** The one door to Kafka; a service makes one. */
export interface Kafka {
  /** @throws KafkaUnreachable */
  producer(): Promise<Producer>;
  consumer(options: ConsumerOptions): ConsumerHandle;
  admin: KafkaAdmin;
  /** @throws KafkaUnreachable where no broker answers within some seconds */
  check(): Promise<void>;
  /** Stops consumers, closes producers and connections; whatever is asked for afterwards fails. */
  close(): Promise<void>;
}
