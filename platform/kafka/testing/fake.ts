import { hash } from 'node:crypto';
import { messageOf, PlatformError } from '#platform/errors';
import { SendFailed } from '../errors.ts';
import { partitionOf } from '../partitioning.ts';
import type {
  EncodedMessages,
  IncomingMessage,
  Kafka,
  KafkaAdmin,
  OutgoingMessage,
  Producer,
  TopicPartition,
} from '../port.ts';
import { decodeBatches, maxDecompressedBytes } from '../record/batches.ts';
import { RecordWriter, writeBatch } from '../record/encoder.ts';
import { topicConfig } from '../topic-config.ts';
import { FakeConsumer } from './fake-consumer.ts';
import { brokerError } from './fake-error.ts';
import { FakeGroup } from './fake-group.ts';
import { directly } from './network.ts';
import type { Network } from './network.ts';

/** A message in the log of the fake. */
export interface SentMessage {
  topic: string;
  partition: number;
  message: Required<OutgoingMessage>;
}

const missing = (topic: string) => new PlatformError('ERR_KAFKA_TOPIC_MISSING', `topic ${topic} has no partitions`);

export interface FakeKafkaOptions {
  /** what is between its clients and its brokers */
  network?: Network;
  /** called with a message before it is in the log; it may change it */
  onAppend?: (sent: SentMessage) => void;
}

/**
 * A Kafka in memory. Its admin client knows the log alone.
 * @param topics how many partitions each topic has
 */
export function fakeKafka(
  topics: Record<string, number>,
  { network = directly, onAppend = () => undefined }: FakeKafkaOptions = {},
) {
  const sent: SentMessage[] = [];
  const logs = new Map<string, IncomingMessage[]>();
  const groups = new Map<string, FakeGroup>();
  const consumers = new Set<FakeConsumer>();
  /** how often each topic was deleted */
  const deletions = new Map<string, number>();
  let failure:
    | ((topic: string, partition: number, messages: readonly OutgoingMessage[]) => string | Error | undefined)
    | undefined;
  let isClosed = false;
  /** the end of the last send: sends wait for each other, so that they are in the log in their order */
  let last: Promise<void> = Promise.resolve();
  let appended = Promise.withResolvers<void>();

  const logOf = ({ topic, partition }: TopicPartition): IncomingMessage[] => {
    const name = `${topic}/${partition}`;
    const log = logs.get(name) ?? [];
    logs.set(name, log);
    return log;
  };
  const append = async (topic: string, partition: number, given: readonly OutgoingMessage[] | EncodedMessages) => {
    const name = `${topic}/${partition}`;
    if (topics[topic] === undefined) throw new SendFailed(`${name}: there is no such topic`, { cause: missing(topic) });
    if (!(partition < topics[topic]))
      throw new SendFailed(`${name}: there is no such partition`, { cause: brokerError('UNKNOWN_TOPIC_OR_PARTITION') });
    const messages = 'bytes' in given ? await decoded(given) : given.map(copied);
    const reason = failure?.(topic, partition, messages);
    if (reason !== undefined) throw new SendFailed(`${name}: ${messageOf(reason)}`, { cause: reason });
    if (messages.length === 0) throw new SendFailed(`${name}: there is nothing to send`);
    const bytes = messages.reduce((sum, { value }) => sum + value.length, 0);
    // the bytes of messages that a broker accepts at once
    if (bytes > Number(topicConfig(topic, -1)['max.message.bytes']))
      throw new SendFailed(`${name}: the messages are too large`, { cause: brokerError('MESSAGE_TOO_LARGE') });
    const log = logOf({ topic, partition });
    const first = BigInt(log.length);
    for (const message of messages) {
      const one = { topic, partition, message };
      onAppend(one);
      sent.push(one);
      log.push(incoming(one, BigInt(log.length)));
    }
    appended.resolve();
    appended = Promise.withResolvers();
    return first;
  };
  const newProducer = (): Producer => {
    let isEnded = false;
    const sending = new Set<Promise<bigint>>();
    const partitionsOf = async (topic: string) => {
      if (isEnded || isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'the producer was closed');
      return partitionsIn(topic);
    };
    return {
      partitionsOf,
      partitionFor: async (topic, key) => partitionOf(key, await partitionsOf(topic)),
      async send(topic, partition, messages) {
        if (isEnded || isClosed) throw new SendFailed('the producer was closed');
        const call = network(`send to ${topic}/${partition}`, async () => {
          const own = last.then(() => append(topic, partition, messages));
          last = own.then(
            () => undefined,
            () => undefined,
          );
          return await own;
        });
        sending.add(call);
        try {
          return await call;
        } catch (error) {
          throw error instanceof SendFailed ? error : new SendFailed(messageOf(error), { cause: error });
        } finally {
          sending.delete(call);
        }
      },
      async close() {
        isEnded = true;
        await Promise.allSettled(sending);
      },
    };
  };
  const partitionsIn = (topic: string): number => {
    const partitions = topics[topic];
    if (partitions === undefined) throw missing(topic);
    return partitions;
  };
  const groupOf = (name: string): FakeGroup => {
    const group = groups.get(name) ?? new FakeGroup((topic) => topics[topic]);
    groups.set(name, group);
    return group;
  };
  const numbersOf = (topic: string) => Array.from({ length: partitionsIn(topic) }, (_, partition) => partition);
  const watermarks = (topic: string) =>
    network('watermarks', () => {
      const ends = numbersOf(topic).map((partition) => BigInt(logOf({ topic, partition }).length));
      return new Map(ends.map((high, partition) => [partition, { low: 0n, high }]));
    });
  const admin: KafkaAdmin = {
    topics: () => network('topics', () => Object.keys(topics)),
    ensureTopics: (declared) =>
      network('create topics', () => {
        const created = declared.filter(({ name }) => topics[name] === undefined);
        for (const { name, partitions } of created) topics[name] = partitions;
        return created.map(({ name }) => name);
      }),
    topicId: (topic) =>
      network('topic id', () => (partitionsIn(topic), hash('md5', `${topic}/${deletions.get(topic) ?? 0}`))),
    watermarks,
    knownWatermarks: watermarks,
    offsetsAt: (topic, time) =>
      network('offsets', () => {
        const first = numbersOf(topic).map((partition) => {
          const log = logOf({ topic, partition });
          return log.find(({ timestamp }) => timestamp >= time)?.offset ?? BigInt(log.length);
        });
        return new Map(first.entries());
      }),
    groups: () => network('groups', () => [...groups.keys()]),
    committed: (group, names) =>
      network('committed', () => [...groupOf(group).committed.values()].filter(({ topic }) => names.includes(topic))),
  };
  const kafka: Kafka = {
    async producer() {
      if (isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'this Kafka was closed');
      return newProducer();
    },
    consumer(options) {
      const consumer = new FakeConsumer(`member-${consumers.size}`, options, {
        network,
        groupOf,
        appended: () => appended.promise,
        read: (at, from, most) => {
          if (topics[at.topic] === undefined) throw brokerError('UNKNOWN_TOPIC_OR_PARTITION');
          const log = logOf(at);
          return { messages: log.slice(Number(from), Number(from) + most), end: BigInt(log.length) };
        },
      });
      consumers.add(consumer);
      return consumer;
    },
    admin,
    check: () => network('check', () => undefined),
    async close() {
      isClosed = true;
      await Promise.all([...consumers].map((consumer) => consumer.stop()));
      await last;
    },
  };
  return {
    /** in the order of the log of each partition */
    sent,
    kafka,
    /** Gives partitions of a group to other members. */
    rebalance: (group: string) => groupOf(group).rebalance(),
    /** @param answer returns why a send fails, the error of a broker as an error, or undefined */
    failWith(answer: typeof failure) {
      failure = answer;
    },
    /** A send past the network. */
    append: async (topic: string, partition: number, message: OutgoingMessage) => {
      await append(topic, partition, [message]);
    },
    deleteTopic(topic: string) {
      for (const partition of numbersOf(topic)) logs.delete(`${topic}/${partition}`);
      for (let i = sent.length - 1; i >= 0; i--) if (sent[i]!.topic === topic) sent.splice(i, 1);
      for (const group of groups.values()) group.forget(topic);
      deletions.set(topic, (deletions.get(topic) ?? 0) + 1);
      delete topics[topic];
    },
    /** Puts the log of a partition back to an earlier time. */
    cut(topic: string, partition: number, end: number) {
      logOf({ topic, partition }).splice(end);
    },
    /** Whether each consumer of the topic has noticed that it is deleted, or is gone. */
    isDeserted: (topic: string) => groups.values().every((group) => !group.hasReaderOf(topic)),
    createTopic(topic: string, partitions: number) {
      topics[topic] = partitions;
    },
  };
}

/** The message as a consumer gets it. */
function incoming({ topic, partition, message }: SentMessage, offset: bigint): IncomingMessage {
  const { key, value, headers, timestamp } = message;
  const raw = () => ({
    key: Buffer.from(key),
    value,
    headers: Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const),
    timestamp: BigInt(timestamp),
  });
  const valueRange = { bytes: value, start: 0, end: value.length };
  return { topic, partition, offset, key, value, valueRange, headers, timestamp, raw };
}

/** The message as the log has it: the caller may change its own afterwards. */
function copied({ key, value, headers, timestamp = Date.now() }: OutgoingMessage): Required<OutgoingMessage> {
  return { key, value: Buffer.from(value), headers: { ...headers }, timestamp };
}

async function decoded({ count, bytes, timestamp }: EncodedMessages): Promise<Required<OutgoingMessage>[]> {
  const writer = new RecordWriter();
  writeBatch(writer, { count, firstTimestamp: timestamp, maxTimestamp: timestamp }, () => writer.copy(bytes));
  const records = { bytes: writer.bytes, start: 0, end: writer.length };
  const from = { topic: '', partition: 0, records, fetchOffset: 0n, highWatermark: BigInt(count) };
  const { messages } = await decodeBatches(from, { left: maxDecompressedBytes });
  return messages.map(({ key, value, headers }) => copied({ key: key!, value: value!, headers, timestamp }));
}
