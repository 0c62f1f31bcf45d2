import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, ICustomPartitioner, Message, Producer as KafkajsProducer, RecordMetadata } from 'kafkajs';
import { messageOf, PlatformError } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';
import { refusalOf, SendFailed, sendTimeoutMs } from '../errors.ts';
import type { EncodedMessages, OutgoingMessage, Producer, SendOptions, TopicPartition } from '../port.ts';
import { partitionOf } from '../partitioning.ts';
import { nameOf } from '../topic-name.ts';
import { isPoison } from './poison.ts';

/** After this time, in milliseconds, the number of a topic's partitions is asked for again, while sends go on. */
const partitionsMaxAgeMs = 10_000;

/** How long a broker may wait for its replicas, in milliseconds: short enough for a second attempt within a send. */
const brokerTimeoutMs = sendTimeoutMs / 2;

const retry = { firstMs: 50, maxMs: 500 };

/** All brokers know a new topic within this time, in milliseconds. Then a topic that none knows is missing. */
const knownWithinMs = 1_000;

/** The most bytes of a send. A broker closes the connection on a request of more than 100 MiB, and does not say why. */
const maxSendBytes = 100 * 1024 * 1024 - 1024 * 1024;

type TimedMessage = Message & { deadline: number; encoded?: EncodedMessages };

/**
 * kafkajs calls the partitioner at each attempt, after it has connected and found the leaders. This is the last moment to
 * stop a late attempt: the caller has given up, and another process can be sending the same messages.
 */
export const chosenPartition: ICustomPartitioner =
  () =>
  ({ message }) => {
    if (performance.now() > (message as TimedMessage).deadline)
      throw new SendFailed('the deadline of this send has passed');
    return message.partition as number;
  };

/** The messages of a send to one partition. */
interface Send {
  topic: string;
  partition: number;
  messages: TimedMessage[];
  /** by the clock of `performance.now()` */
  deadline: number;
  /** until when another attempt may begin, by the same clock */
  retryUntil: number;
}

/**
 * What is wrong with the acknowledgement of a send to one partition; undefined if nothing is. kafkajs can resolve a send
 * although it never sent a partition; then the metadata of the partition is missing.
 */
export function acknowledgementError(
  acknowledged: readonly RecordMetadata[],
  topic: string,
  partition: number,
): string | undefined {
  const answers = answersFor(acknowledged, { topic, partition });
  const [only] = answers;
  if (!only || answers.length !== 1) return `acknowledged ${answers.length} times instead of once`;
  return only.errorCode === 0 ? undefined : `the broker answered with error code ${only.errorCode}`;
}

function answersFor(acknowledged: readonly RecordMetadata[], { topic, partition }: TopicPartition): RecordMetadata[] {
  return acknowledged.filter((answer) => answer.topicName === topic && answer.partition === partition);
}

/** The offset of the first message of a send whose acknowledgement has no error. */
function firstOffset(acknowledged: readonly RecordMetadata[], sending: Send): bigint {
  return BigInt(answersFor(acknowledged, sending)[0]!.baseOffset!);
}

interface Partitions {
  count: Promise<number>;
  expires: number;
}

/**
 * The producer over kafkajs: all in-sync replicas acknowledge, and it is not idempotent (kafkajs loses messages then). The
 * sends of one turn of the event loop share a request. The producer checks the response partition by partition, and sends
 * each partition alone that is not acknowledged.
 */
export class KafkaJsProducer implements Producer {
  #client: KafkajsProducer;
  readonly #connect: () => Promise<KafkajsProducer>;
  /** the exchange of the client, while one is under way */
  #exchanging: Promise<void> | undefined;
  /** former clients that still end their sends */
  readonly #leaving = new Set<Promise<void>>();
  readonly #admin: () => Promise<Admin>;
  readonly #answersOf: (error: unknown) => RecordMetadata[];
  /** the end of the last send to each partition */
  readonly #lastSends = new Map<string, Promise<void>>();
  /** the sends that share the next request */
  #round: { sending: Send; settle: (work: Promise<bigint>) => void }[] = [];
  readonly #partitions = new Map<string, Partitions>();
  #closed = false;

  /**
   * @param client a connected producer with `chosenPartition` and without retries, because this class retries
   * @param connect makes another one
   * @param answersOf the answers of the partitions in the response to a failed request
   */
  constructor(
    client: KafkajsProducer,
    connect: () => Promise<KafkajsProducer>,
    admin: () => Promise<Admin>,
    answersOf: (error: unknown) => RecordMetadata[] = () => [],
  ) {
    this.#client = client;
    this.#connect = connect;
    this.#admin = admin;
    this.#answersOf = answersOf;
  }

  async partitionFor(topic: string, key: string): Promise<number> {
    return partitionOf(key, await this.partitionsOf(topic));
  }

  partitionsOf(topic: string): Promise<number> {
    if (this.#closed) return Promise.reject(new PlatformError('ERR_KAFKA_CLOSED', 'the producer was closed'));
    return this.#knownPartitions(topic);
  }

  #knownPartitions(topic: string): Promise<number> {
    const known = this.#partitions.get(topic);
    const now = performance.now();
    if (known && known.expires > now) return known.count;
    const asked = { count: this.#askPartitions(topic), expires: now + partitionsMaxAgeMs };
    asked.count.then(
      () => {
        if (!known || this.#partitions.get(topic) === known) this.#partitions.set(topic, asked);
      },
      (error: unknown) => {
        if (!known || refusalOf(error)) this.#partitions.delete(topic);
      },
    );
    if (known) known.expires = asked.expires;
    else this.#partitions.set(topic, asked);
    return (known ?? asked).count;
  }

  async #askPartitions(topic: string): Promise<number> {
    const admin = await this.#admin();
    const missing = (cause?: unknown) =>
      new PlatformError('ERR_KAFKA_TOPIC_MISSING', `topic ${topic} has no partitions`, { cause });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }).catch((error: { type?: string }) => {
      throw error.type === 'UNKNOWN_TOPIC_OR_PARTITION' ? missing(error) : error;
    });
    const partitions = topics.find((found) => found.name === topic)?.partitions.length ?? 0;
    if (partitions === 0) throw missing();
    return partitions;
  }

  /** Sends to the same partition wait for each other, also for one whose deadline has passed but that is still running. */
  send(
    topic: string,
    partition: number,
    messages: readonly OutgoingMessage[] | EncodedMessages,
    { retryMs = sendTimeoutMs }: SendOptions = {},
  ): Promise<bigint> {
    if (this.#closed) return Promise.reject(new SendFailed('the producer was closed'));
    if (bytesOf(messages) > maxSendBytes) {
      const error = new SendFailed(`${topic}/${partition}: larger than a request to a broker may be`);
      return Promise.reject(Object.assign(error, { type: 'MESSAGE_TOO_LARGE' }));
    }
    const now = performance.now();
    const deadline = now + sendTimeoutMs;
    const sending = {
      topic,
      partition,
      deadline,
      retryUntil: now + retryMs,
      messages:
        'bytes' in messages
          ? [encoded(messages, partition, deadline)]
          : messages.map((message) => timed(message, partition, deadline)),
    };
    const name = nameOf(sending);
    const before = this.#lastSends.get(name) ?? Promise.resolve();
    const appended = before.then(() => this.#untilKnown(sending)).then(() => this.#join(sending));
    this.#lastSends.set(
      name,
      appended.then(
        () => undefined,
        () => undefined,
      ),
    );
    return withDeadline(appended, sending);
  }

  /**
   * Waits until the topic exists. kafkajs asks for the metadata of all topics of its sends in one request, which fails for
   * all of them if one does not exist; so a missing topic must not come to it.
   */
  #untilKnown(sending: Send): Promise<unknown> {
    return retrying(sending, () => withDeadline(this.#knownPartitions(sending.topic), sending));
  }

  #join(sending: Send): Promise<bigint> {
    return new Promise((settle) => {
      this.#round.push({ sending, settle });
      if (this.#round.length === 1) setImmediate(() => void this.#sendRound());
    });
  }

  async #sendRound(): Promise<void> {
    const round = this.#round;
    this.#round = [];
    const acknowledged = round.length > 1 ? await this.#tryTogether(round.map(({ sending }) => sending)) : [];
    for (const { sending, settle } of round) {
      const done = acknowledgementError(acknowledged, sending.topic, sending.partition) === undefined;
      settle(done ? Promise.resolve(firstOffset(acknowledged, sending)) : this.#sendAlone(sending));
    }
  }

  /** Sends one request to each broker. @returns the answers of the partitions that have one */
  async #tryTogether(round: Send[]): Promise<RecordMetadata[]> {
    const topicMessages = [...Map.groupBy(round, (sending) => sending.topic)].map(([topic, sendings]) => ({
      topic,
      messages: sendings.flatMap((sending) => sending.messages),
    }));
    try {
      return await this.#client.sendBatch({ acks: -1, timeout: brokerTimeoutMs, topicMessages });
    } catch (error) {
      return this.#answersOf(error);
    }
  }

  #sendAlone(sending: Send): Promise<bigint> {
    const { topic, partition, messages } = sending;
    let isExchanged = false;
    return retrying(sending, async () => {
      await this.#knownPartitions(topic);
      const client = this.#client;
      const sent = client.send({ topic, acks: -1, timeout: brokerTimeoutMs, messages });
      const acknowledged = await sent.catch(async (error: unknown) => {
        if (!isPoison(error)) throw error;
        this.#partitions.delete(topic);
        if (isExchanged || this.#answersOf(error).length > 0) throw error; // it is about this topic
        isExchanged = true;
        await this.#exchange(client);
        throw new Exchanged(messageOf(error));
      });
      const problem =
        acknowledged.length > 1
          ? 'more than one partition was acknowledged'
          : acknowledgementError(acknowledged, topic, partition);
      if (problem) throw new SendFailed(`${nameOf(sending)}: ${problem}`);
      return firstOffset(acknowledged, sending);
    });
  }

  /** Replaces a client whose requests all fail. */
  #exchange(client: KafkajsProducer): Promise<void> {
    if (this.#client !== client) return Promise.resolve();
    this.#exchanging ??= this.#connect()
      .then((next) => {
        const left = Promise.all(this.#lastSends.values())
          .then(() => client.disconnect())
          .catch(() => undefined)
          .finally(() => this.#leaving.delete(left));
        this.#leaving.add(left);
        this.#client = next;
      })
      .finally(() => (this.#exchanging = undefined));
    return this.#exchanging;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#lastSends.values());
    await Promise.all([...this.#leaving, this.#client.disconnect()]);
  }
}

/** The failure of a former client: it can be about another topic than that of the send, which is tried again. */
class Exchanged extends PlatformError {
  override name = 'Exchanged';
  readonly retriable = true;

  constructor(message: string) {
    super('ERR_KAFKA_SEND_FAILED', message);
  }
}

function timed({ key, value, headers, timestamp }: OutgoingMessage, partition: number, deadline: number): TimedMessage {
  const message: TimedMessage = { key, value, headers, partition, deadline };
  if (timestamp !== undefined) message.timestamp = String(timestamp);
  return message;
}

/** One message that stands for all encoded messages; our encoder of produce requests knows it. */
function encoded(messages: EncodedMessages, partition: number, deadline: number): TimedMessage {
  return { value: null, partition, deadline, timestamp: String(messages.timestamp), encoded: messages };
}

function bytesOf(messages: readonly { value: Buffer | null }[] | EncodedMessages): number {
  if ('bytes' in messages) return messages.bytes.length;
  return messages.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
}

/** Makes attempts until one succeeds, fails for good, or the time of the send is over. */
async function retrying<T>(sending: Send, attempt: () => Promise<T>): Promise<T> {
  const unknownUntil = Math.min(sending.retryUntil, performance.now() + knownWithinMs);
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt();
    } catch (cause) {
      if (cause instanceof SendFailed) throw cause;
      const retryInMs = backoffMs(failures, retry);
      const until = isMissing(cause) ? unknownUntil : sending.retryUntil;
      if (!isPassing(cause) || performance.now() + retryInMs > until)
        throw new SendFailed(`${nameOf(sending)}: ${messageOf(cause)}`, { cause });
      await sleep(retryInMs);
    }
  }
}

function isMissing(error: unknown): boolean {
  return (error as { code?: string }).code === 'ERR_KAFKA_TOPIC_MISSING';
}

/** Whether another attempt can succeed. kafkajs wraps the last error when it makes no more attempts itself. */
function isPassing(error: unknown): boolean {
  const { retriable, cause, name } = error as Partial<Record<'retriable' | 'cause' | 'name', unknown>>;
  if (isMissing(error)) return true; // it may be new
  if (name === 'KafkaJSNumberOfRetriesExceeded' && cause) return isPassing(cause);
  return retriable === true;
}

async function withDeadline<T>(work: Promise<T>, sending: Send): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new SendFailed(`${nameOf(sending)}: not acknowledged within ${sendTimeoutMs} ms`));
    timer = setTimeout(fail, sending.deadline - performance.now());
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
