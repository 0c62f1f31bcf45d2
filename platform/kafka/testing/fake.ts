import { messageOf, PlatformError } from '#platform/errors';
import { SendFailed } from '../errors.ts';
import { partitionOf } from '../partitioning.ts';
import type { EncodedMessages, Kafka, OutgoingMessage, Producer } from '../port.ts';
import { decodeBatches } from '../record/decoder.ts';
import { RecordWriter, writeBatch } from '../record/encoder.ts';
import { topicConfig } from '../topic-config.ts';

/** A message in the log of the fake. */
export interface SentMessage {
  topic: string;
  partition: number;
  message: Required<OutgoingMessage>;
}

const missing = (topic: string) => new PlatformError('ERR_KAFKA_TOPIC_MISSING', `topic ${topic} has no partitions`);

/** An error as a broker answers it. */
export const brokerError = (type: string) => Object.assign(new Error(type), { type });

/**
 * The producers of a Kafka, with a log in memory: `producer` and `close` of the port, and nothing else of it.
 * @param topics how many partitions each topic has
 */
export function fakeKafka(topics: Record<string, number>) {
  const sent: SentMessage[] = [];
  let failure:
    | ((topic: string, partition: number, messages: readonly OutgoingMessage[]) => string | Error | undefined)
    | undefined;
  let isClosed = false;
  /** the end of the last send: sends wait for each other, so that they are in the log in their order */
  let last: Promise<void> = Promise.resolve();

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
    sent.push(...messages.map((message) => ({ topic, partition, message })));
  };
  const newProducer = (): Producer => {
    let isEnded = false;
    const partitionsOf = async (topic: string) => {
      if (isEnded || isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'the producer was closed');
      const partitions = topics[topic];
      if (partitions === undefined) throw missing(topic);
      return partitions;
    };
    return {
      partitionsOf,
      partitionFor: async (topic, key) => partitionOf(key, await partitionsOf(topic)),
      async send(topic, partition, messages) {
        if (isEnded || isClosed) throw new SendFailed('the producer was closed');
        const appended = last.then(() => append(topic, partition, messages));
        last = appended.catch(() => undefined);
        await appended;
      },
      async close() {
        isEnded = true;
        await last;
      },
    };
  };
  const kafka: Pick<Kafka, 'producer' | 'close'> = {
    async producer() {
      if (isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'this Kafka was closed');
      return newProducer();
    },
    async close() {
      isClosed = true;
      await last;
    },
  };
  return {
    /** in the order of the log of each partition */
    sent,
    kafka,
    /** @param answer returns why a send fails, the error of a broker as an error, or undefined */
    failWith(answer: typeof failure) {
      failure = answer;
    },
  };
}

/** The message as the log has it: the caller may change its own afterwards. */
function copied({ key, value, headers, timestamp = Date.now() }: OutgoingMessage): Required<OutgoingMessage> {
  return { key, value: Buffer.from(value), headers: { ...headers }, timestamp };
}

async function decoded({ count, bytes, timestamp }: EncodedMessages): Promise<Required<OutgoingMessage>[]> {
  const writer = new RecordWriter();
  writeBatch(writer, { count, firstTimestamp: timestamp, maxTimestamp: timestamp }, () => writer.copy(bytes));
  const records = await decodeBatches(writer.bytes, 0, writer.length);
  return records.map(({ key, value, headers }) => copied({ key: key!, value: value!, headers, timestamp }));
}
