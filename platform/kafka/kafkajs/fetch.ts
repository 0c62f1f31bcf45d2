import { setTimeout as sleep } from 'node:timers/promises';
import { PlatformError, toError } from '#platform/errors';
import { backoffMs } from '#platform/lifecycle';
import type { ByteRange } from '../port.ts';
import { decodeBatches, maxDecompressedBytes } from '../record/batches.ts';
import type { FetchedPartition } from './fetched-batch.ts';

// kafkajs makes a decoder, a buffer for each header and several numbers as text for each record; ours makes one object.

interface Decoder {
  buffer: Buffer;
  offset: number;
  readInt32(): number;
  canReadBytes(length: number): boolean;
}

/** Finds the records of a partition in the response to a fetch; it replaces kafkajs's function that decodes them. */
export function recordBytes(decoder: Decoder): ByteRange {
  const size = decoder.readInt32();
  const start = decoder.offset;
  const end = size > 0 && decoder.canReadBytes(size) ? start + size : start;
  decoder.offset = end;
  return { bytes: decoder.buffer, start, end };
}

/** The part of a fetch request that has the next offsets. */
interface FetchedTopic {
  topic: string;
  partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
}

export interface FetchRequest {
  maxWaitTime: number;
  topics: FetchedTopic[];
}

interface Response<Partition> {
  responses: { topicName: string; partitions: Partition[] }[];
}

/** A partition as the broker answers it. */
type AnsweredPartition = Omit<FetchedPartition, 'messages'> & {
  errorCode: number;
  /** consumers get the records before it: from here on a transaction is open */
  lastStableOffset: string;
  messages: ByteRange;
};

export type FetchResponse = Response<FetchedPartition>;

/** A method of a broker. */
export type Fetch<Broker, Answer = FetchResponse> = (this: Broker, request: FetchRequest) => Promise<Answer>;

const holdBackoff = { firstMs: 250, maxMs: 5_000 };

/** The partitions that a broker gives no records of: each waits for some time, and the others go on without it. */
class Holds {
  /** whether another broker may have one of them since */
  isOutdated = false;
  readonly #held = new Map<string, { failures: number; until: number }>();

  add(name: string): void {
    const failures = (this.#held.get(name)?.failures ?? 0) + 1;
    this.#held.set(name, { failures, until: performance.now() + backoffMs(failures, holdBackoff) });
    this.isOutdated = true;
  }

  delete(name: string): void {
    this.#held.delete(name);
  }

  /** Leaves out the partitions that wait now. */
  without(topics: readonly FetchedTopic[]): FetchedTopic[] {
    if (this.#held.size === 0) return [...topics];
    const now = performance.now();
    return topics
      .map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.filter((one) => (this.#held.get(nameOf(topic, one))?.until ?? now) <= now),
      }))
      .filter(({ partitions }) => partitions.length > 0);
  }
}

/** A partition brings nothing because a transaction in its log is open: that of another program, because ours use none. */
export class OpenTransaction extends PlatformError {
  constructor(offset: string) {
    super(
      'ERR_KAFKA_OPEN_TRANSACTION',
      `a transaction that another program has begun at offset ${offset} has not ended`,
    );
  }
}

/** Lets kafkajs ask which brokers lead the partitions now, which it does for an error of this name. */
class LeaderUnknown extends PlatformError {
  override name = 'KafkaJSBrokerNotFound';

  constructor() {
    super('ERR_KAFKA_PARTITION', 'a broker gave no records of a partition');
  }
}

const nameOf = (topic: string, { partition }: { partition: number }) => `${topic}/${partition}`;

/**
 * Lets a broker fetch and decode records. The memory of a response is bounded: see `decodeBatches`. A partition that fails alone does
 * not hold up the others: it is given without records, and asked for again after a pause.
 * @param errorOf the error of a code of Kafka
 */
export function decoding<Broker extends object>(
  fetch: Fetch<Broker, Response<AnsweredPartition>>,
  errorOf: (code: number) => Error,
): Fetch<Broker> {
  const holdsOf = new WeakMap<Broker, Holds>();
  return async function (request) {
    const holds = holdsOf.get(this) ?? new Holds();
    holdsOf.set(this, holds);
    if (holds.isOutdated) {
      holds.isOutdated = false;
      throw new LeaderUnknown();
    }
    const topics = holds.without(request.topics);
    if (topics.length === 0) {
      await sleep(request.maxWaitTime);
      return { responses: [] };
    }
    const { responses, ...rest } = await fetch.call(this, { ...request, topics });
    const offsets = new Map(
      topics.flatMap(({ topic, partitions }) =>
        partitions.map((one) => [nameOf(topic, one), BigInt(one.fetchOffset)] as const),
      ),
    );
    const budget = { left: maxDecompressedBytes };
    const decoded: FetchResponse['responses'] = [];
    for (const { topicName: topic, partitions } of responses) {
      const fetched: FetchedPartition[] = [];
      for (const answered of partitions) {
        const { partition, errorCode, highWatermark, messages: records } = answered;
        const name = nameOf(topic, answered);
        const fetchOffset = offsets.get(name)!;
        try {
          if (errorCode !== 0) throw errorOf(errorCode);
          const from = { topic, partition, records, fetchOffset, highWatermark: BigInt(highWatermark) };
          const messages = await decodeBatches(from, budget);
          const isHeld = messages.nextOffset === fetchOffset && isAtOpenTransaction(answered, fetchOffset);
          const failure = isHeld ? new OpenTransaction(answered.lastStableOffset) : undefined;
          fetched.push({ ...answered, messages, ...(failure && { failure }) });
          holds.delete(name);
        } catch (error) {
          holds.add(name);
          const messages = { messages: [], nextOffset: fetchOffset };
          fetched.push({ ...answered, messages, failure: toError(error) });
        }
      }
      decoded.push({ topicName: topic, partitions: fetched });
    }
    return { ...rest, responses: decoded };
  };
}

function isAtOpenTransaction({ lastStableOffset, highWatermark }: AnsweredPartition, fetchOffset: bigint): boolean {
  const stable = BigInt(lastStableOffset);
  return stable >= 0n && fetchOffset >= stable && stable < BigInt(highWatermark);
}
