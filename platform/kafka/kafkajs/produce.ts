// The produce request of Kafka's protocol, written in one pass into the buffer that goes to the socket. kafkajs writes a
// batch into five buffers, one around the other, each of which grows by copying.
// https://kafka.apache.org/protocol#The_Messages_Produce

import { encodeRecord, sizeOfBatch, writeBatch } from '../record/records.ts';
import type { Batch, RecordFields } from '../record/records.ts';

/** A message as kafkajs hands it to its encoder. */
type Message = Omit<RecordFields, 'offsetDelta' | 'timestampDelta'> & { timestamp?: string | null | undefined };

/** What kafkajs gives its encoder of produce requests; we neither compress nor send in transactions. */
export interface ProduceFields {
  acks: number;
  /** milliseconds */
  timeout: number;
  topicData: { topic: string; partitions: { partition: number; messages: Message[] }[] }[];
}

/** Bytes for what kafkajs puts before it: the request's length, its kind, its number and the client's name. */
const headRoom = 512;

const produceKey = 0;

/** An encoder's result, in kafkajs's terms, with room before it. */
class Payload {
  readonly #whole: Buffer;

  /** @param whole begins with `headRoom` bytes that mean nothing */
  constructor(whole: Buffer) {
    this.#whole = whole;
  }

  get buffer(): Buffer {
    return this.#whole.subarray(headRoom);
  }

  /** This behind a head: in the same memory where the head is of the usual size. */
  behind(head: Buffer): Buffer {
    const start = headRoom - head.length;
    if (start < 0) return Buffer.concat([head, this.buffer]);
    head.copy(this.#whole, start);
    return this.#whole.subarray(start);
  }
}

/** In the place of kafkajs's function that makes a request of version 3, on which those up to 7 rest. */
export function produceRequest(fields: ProduceFields) {
  return {
    apiKey: produceKey,
    apiVersion: 3,
    apiName: 'Produce',
    expectResponse: () => fields.acks !== 0,
    encode: () => Promise.resolve(encode(fields)),
  };
}

function encode({ acks, timeout, topicData }: ProduceFields): Payload {
  const topics = topicData.map(({ topic, partitions }) => ({
    name: Buffer.from(topic),
    partitions: partitions.map(({ partition, messages }) => {
      const batch = batchOf(messages);
      return { partition, batch, size: sizeOfBatch(batch) };
    }),
  }));
  let size = headRoom + 12;
  for (const { name, partitions } of topics) {
    size += 2 + name.length + 4;
    for (const partition of partitions) size += 8 + partition.size;
  }
  const whole = Buffer.allocUnsafe(size);
  let at = whole.writeInt16BE(-1, headRoom); // in no transaction
  at = whole.writeInt16BE(acks, at);
  at = whole.writeInt32BE(timeout, at);
  at = whole.writeInt32BE(topics.length, at);
  for (const { name, partitions } of topics) {
    at = whole.writeInt16BE(name.length, at);
    at += name.copy(whole, at);
    at = whole.writeInt32BE(partitions.length, at);
    for (const { partition, batch, size: batchSize } of partitions) {
      at = whole.writeInt32BE(partition, at);
      at = whole.writeInt32BE(batchSize, at);
      at = writeBatch(whole, at, batch);
    }
  }
  return new Payload(whole);
}

function batchOf(messages: readonly Message[]): Batch {
  const now = Date.now();
  const times = messages.map(({ timestamp }) => Number(timestamp ?? now));
  const firstTimestamp = times.reduce((a, b) => Math.min(a, b), times[0] ?? now);
  const maxTimestamp = times.reduce((a, b) => Math.max(a, b), firstTimestamp);
  const records = messages.map((message, i) =>
    encodeRecord({ ...message, offsetDelta: i, timestampDelta: times[i]! - firstTimestamp }),
  );
  return { firstTimestamp, maxTimestamp, records };
}

/** The head of a request, and what is behind it. */
interface Request {
  correlationId: number;
  clientId: string;
  request: { apiKey: number; apiVersion: number; encode(): Promise<{ buffer: Buffer }> };
}

/** In the place of kafkajs's function of this name. */
export async function createRequest({ correlationId, clientId, request }: Request): Promise<{ buffer: Buffer }> {
  const payload = await request.encode();
  const name = Buffer.from(clientId);
  const head = Buffer.allocUnsafe(14 + name.length);
  let at = head.writeInt32BE(head.length - 4 + payload.buffer.length, 0);
  at = head.writeInt16BE(request.apiKey, at);
  at = head.writeInt16BE(request.apiVersion, at);
  at = head.writeInt32BE(correlationId, at);
  at = head.writeInt16BE(name.length, at);
  name.copy(head, at);
  return { buffer: payload instanceof Payload ? payload.behind(head) : Buffer.concat([head, payload.buffer]) };
}
