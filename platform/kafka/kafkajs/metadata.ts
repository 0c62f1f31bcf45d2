import { createRequire } from 'node:module';
import { RecordWriter } from '../record/encoder.ts';

// Version 12 of the metadata request, the first whose answer has usable ids of topics; kafkajs ends at version 6.
// https://kafka.apache.org/protocol#The_Messages_Metadata

const require = createRequire(import.meta.url);

interface Decoder {
  buffer: Buffer;
  offset: number;
  readInt16(): number;
  readInt32(): number;
  readBoolean(): boolean;
  readUVarIntString(): string | null;
  readUVarIntArray<T>(reader: (decoder: Decoder) => T): T[] | null;
  readTaggedFields(): void;
  forward(size: number): void;
}

const DecoderOfKafkajs = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Decoder;
/** Its `parse` is that of all versions. */
export const oldestMetadata = require('kafkajs/src/protocol/requests/metadata/v0/response') as {
  parse(data: Metadata): Promise<Metadata>;
};

const metadataKey = 3;
export const metadataVersion = 12;
const uuidSize = 16;
/** topics without an id of their own */
const noId = '0'.repeat(2 * uuidSize);

/** A partition as kafkajs hands it out, with the id of its topic: the metadata of a topic has no other place that kafkajs keeps. */
export interface IdentifiedPartition {
  partitionErrorCode: number;
  partitionId: number;
  /** the id of a broker; -1 while there is none */
  leader: number;
  replicas: number[];
  isr: number[];
  offlineReplicas: number[];
  /** 32 hexadecimal digits; undefined if the topic has none */
  topicId: string | undefined;
}

interface Metadata {
  throttleTime: number;
  clientSideThrottleTime: number;
  brokers: { nodeId: number; host: string | null; port: number; rack: string | null }[];
  clusterId: string | null;
  controllerId: number;
  topicMetadata: {
    topicErrorCode: number;
    topic: string | null;
    isInternal: boolean;
    partitionMetadata: IdentifiedPartition[];
  }[];
}

interface MetadataFields {
  /** none means all */
  topics: string[];
  allowAutoTopicCreation?: boolean;
}

/** The request and its response, as kafkajs expects them of a version. */
export function metadataProtocol({ topics, allowAutoTopicCreation = true }: MetadataFields) {
  return {
    request: {
      apiKey: metadataKey,
      apiVersion: metadataVersion,
      apiName: 'Metadata',
      encode: () => Promise.resolve({ buffer: encode(topics, allowAutoTopicCreation) }),
    },
    response: {
      decode: (data: Buffer) => Promise.resolve(decode(new DecoderOfKafkajs(data))),
      parse: (data: Metadata) => oldestMetadata.parse(data),
    },
  };
}

function encode(topics: readonly string[], allowAutoTopicCreation: boolean): Buffer {
  const writer = new RecordWriter();
  const none = Buffer.from([0]);
  writer.copy(none); // the tagged fields of the request's head, which kafkajs does not know
  unsigned(writer, topics.length === 0 ? 0 : topics.length + 1);
  for (const topic of topics) {
    const name = Buffer.from(topic);
    writer.copy(Buffer.alloc(uuidSize)); // by name, not by id
    unsigned(writer, name.length + 1);
    writer.copy(name);
    writer.copy(none);
  }
  writer.copy(Buffer.from([allowAutoTopicCreation ? 1 : 0, 0, 0])); // without authorized operations
  return writer.bytes;
}

/** An unsigned varint. */
function unsigned(writer: RecordWriter, value: number): void {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  writer.copy(Buffer.from([...bytes, rest]));
}

function decode(decoder: Decoder): Metadata {
  decoder.readTaggedFields(); // of the response's head
  const throttleTime = decoder.readInt32();
  const brokers = list(decoder, () => {
    const broker = {
      nodeId: decoder.readInt32(),
      host: decoder.readUVarIntString(),
      port: decoder.readInt32(),
      rack: decoder.readUVarIntString(),
    };
    decoder.readTaggedFields();
    return broker;
  });
  const clusterId = decoder.readUVarIntString();
  const controllerId = decoder.readInt32();
  const topicMetadata = list(decoder, () => {
    const topicErrorCode = decoder.readInt16();
    const topic = decoder.readUVarIntString();
    const id = decoder.buffer.toString('hex', decoder.offset, decoder.offset + uuidSize);
    decoder.forward(uuidSize);
    const isInternal = decoder.readBoolean();
    const partitionMetadata = list(decoder, () => partition(decoder, id === noId ? undefined : id));
    decoder.readInt32(); // authorized operations
    decoder.readTaggedFields();
    return { topicErrorCode, topic, isInternal, partitionMetadata };
  });
  return { throttleTime: 0, clientSideThrottleTime: throttleTime, brokers, clusterId, controllerId, topicMetadata };
}

function partition(decoder: Decoder, topicId: string | undefined): IdentifiedPartition {
  const partitionErrorCode = decoder.readInt16();
  const partitionId = decoder.readInt32();
  const leader = decoder.readInt32();
  decoder.readInt32(); // the leader's epoch
  const [replicas, isr, offlineReplicas] = [numbers(decoder), numbers(decoder), numbers(decoder)];
  decoder.readTaggedFields();
  return { partitionErrorCode, partitionId, leader, replicas, isr, offlineReplicas, topicId };
}

const list = <T>(decoder: Decoder, read: () => T): T[] => decoder.readUVarIntArray(read) ?? [];
const numbers = (decoder: Decoder) => list(decoder, () => decoder.readInt32());
