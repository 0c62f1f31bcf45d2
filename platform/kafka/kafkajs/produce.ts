// The produce request of Kafka's protocol, written in one pass into the buffer that goes to the socket. kafkajs copies a
// batch through five nested buffers, each of which grows by copying.
// https://kafka.apache.org/protocol#The_Messages_Produce

import type { EncodedMessages } from '../port.ts';
import { codecOf } from '../record/codecs.ts';
import { RecordWriter, batchHeadSize, writeBatch, writeRecord } from '../record/encoder.ts';
import type { BatchHead, RecordFields } from '../record/encoder.ts';

/** A message as kafkajs passes it to its encoder. */
interface Message extends Omit<RecordFields, 'offsetDelta' | 'timestampDelta'> {
  timestamp?: string | null | undefined;
  /** the records of a batch whose only message this is */
  encoded?: EncodedMessages;
}

/** The arguments of kafkajs's encoder of produce requests; we use no transactions. */
export interface ProduceFields {
  acks: number;
  /** as in the attributes of a record batch; default: not compressed */
  compression?: number;
  /** milliseconds */
  timeout: number;
  topicData: { topic: string; partitions: { partition: number; messages: Message[] }[] }[];
}

/** The room for the request header: length, kind, correlation id and client id. */
const headRoom = 512;

/** The usual size of a record beside its value: the key and the headers of an event. */
const usualOverhead = 512;

const produceKey = 0;

/** The result of an encoder, as kafkajs expects it, with room for the request header before it. */
class Payload {
  readonly #whole: Buffer;

  /** @param whole begins with `headRoom` unused bytes */
  constructor(whole: Buffer) {
    this.#whole = whole;
  }

  get buffer(): Buffer {
    return this.#whole.subarray(headRoom);
  }

  /** The payload after a header: in the same memory if the header fits into the room. */
  behind(head: Buffer): Buffer {
    const start = headRoom - head.length;
    if (start < 0) return Buffer.concat([head, this.buffer]);
    head.copy(this.#whole, start);
    return this.#whole.subarray(start);
  }
}

/** Replaces kafkajs's function for requests of version 3, which the versions up to 7 use. */
export function produceRequest(fields: ProduceFields) {
  return {
    apiKey: produceKey,
    apiVersion: 3,
    apiName: 'Produce',
    expectResponse: () => fields.acks !== 0,
    encode: async () => encode(fields, fields.compression ? await compressAll(fields) : toRecords),
  };
}

/** The records of one batch. */
interface Records extends BatchHead {
  write(writer: RecordWriter): void;
}

function encode({ acks, timeout, topicData }: ProduceFields, recordsOf: (messages: Message[]) => Records): Payload {
  const writer = new RecordWriter(expectedSize(topicData));
  writer.skip(headRoom);
  writer.int16(-1); // in no transaction
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topicData.length);
  for (const { topic, partitions } of topicData) {
    const name = Buffer.from(topic);
    writer.int16(name.length);
    writer.copy(name);
    writer.int32(partitions.length);
    for (const { partition, messages } of partitions) {
      writer.int32(partition);
      const sizeAt = writer.skip(4);
      const records = recordsOf(messages);
      writeBatch(writer, records, () => records.write(writer));
      writer.setInt32(sizeAt, writer.length - sizeAt - 4);
    }
  }
  return new Payload(writer.bytes);
}

function expectedSize(topicData: ProduceFields['topicData']): number {
  let size = headRoom + 12;
  for (const { topic, partitions } of topicData) {
    size += 6 + 3 * topic.length;
    for (const { messages } of partitions) {
      size += 8 + batchHeadSize;
      for (const { value, encoded } of messages)
        size += encoded ? encoded.bytes.length : usualOverhead + (value?.length ?? 0);
    }
  }
  return size;
}

function toRecords(messages: readonly Message[]): Records {
  const encoded = messages[0]?.encoded;
  if (encoded) {
    const { count, bytes, timestamp } = encoded;
    return { count, firstTimestamp: timestamp, maxTimestamp: timestamp, write: (writer) => writer.copy(bytes) };
  }
  const now = Date.now();
  const times = messages.map(({ timestamp }) => Number(timestamp ?? now));
  const firstTimestamp = times.reduce((a, b) => Math.min(a, b), times[0] ?? now);
  const maxTimestamp = times.reduce((a, b) => Math.max(a, b), firstTimestamp);
  return {
    count: messages.length,
    firstTimestamp,
    maxTimestamp,
    write(writer) {
      for (const [i, { key, value, headers }] of messages.entries()) {
        const timestampDelta = times[i]! - firstTimestamp;
        writeRecord(writer, { offsetDelta: i, timestampDelta, key, value, headers });
      }
    },
  };
}

/** Compresses the records of each partition. @returns what finds them */
async function compressAll({ topicData, compression }: ProduceFields): Promise<(messages: Message[]) => Records> {
  const attributes = compression!;
  const codec = codecOf(attributes)!;
  const compressed = new Map<Message[], Records>();
  for (const { messages } of topicData.flatMap(({ partitions }) => partitions)) {
    const records = toRecords(messages);
    const writer = new RecordWriter();
    records.write(writer);
    const bytes = await codec.compress(writer.bytes);
    compressed.set(messages, { ...records, attributes, write: (into) => into.copy(bytes) });
  }
  return (messages) => compressed.get(messages)!;
}

/** The fields of a request header, and the request. */
interface Request {
  correlationId: number;
  clientId: string;
  request: { apiKey: number; apiVersion: number; encode(): Promise<{ buffer: Buffer }> };
}

/** Replaces kafkajs's function of this name. */
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
