import { createRequire } from 'node:module';
import type * as Kafkajs from 'kafkajs';
import { PlatformError } from '#platform/errors';
import { errorOfCode } from './error-of-code.ts';
import { decoding, recordBytes } from './fetch.ts';
import { FetchedBatch } from './fetched-batch.ts';
import { namingLeaderless, passLeaderless, skippingLeaderless } from './leaderless.ts';
import type { Leaders } from './leaderless.ts';
import { metadataProtocol, metadataVersion } from './metadata.ts';
import { prefetching } from './prefetch.ts';
import type { Fetch } from './fetch.ts';
import { createRequest, produceRequest } from './produce.ts';

const require = createRequire(import.meta.url);

/** The patched part of kafkajs's RequestQueue. */
interface RequestQueue {
  pending: unknown[];
  /** milliseconds since 1970, -1 while the broker does not throttle */
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** The pause before a waiting request is checked again, in milliseconds, as in kafkajs. */
const recheckMs = 10;

function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return;
  const waitMs = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    waitMs > 0 ? waitMs : recheckMs,
  );
}

/** The patched part of kafkajs's Connection. */
interface Connection {
  /** the received bytes that are not a whole response yet */
  chunks: Buffer[];
  bytesBuffered: number;
  processData(this: Connection, data: Buffer): void;
}

function forgettingAnswers(processData: Connection['processData']): Connection['processData'] {
  return function (data) {
    processData.call(this, data);
    if (this.bytesBuffered === 0) this.chunks = [];
  };
}

/** The patched part of kafkajs's Broker. */
interface Broker {
  fetch: Fetch<Broker>;
}

interface Destination {
  host?: string;
  port?: number;
}

interface ConnectionPools {
  build(destination?: Destination): Promise<unknown>;
}

type ConnectionPoolBuilder = (options: { brokers: string[] }) => ConnectionPools;

/** Connects to the brokers of the settings in turn, also to IPv6 addresses in brackets. */
function withIpv6(builderOf: ConnectionPoolBuilder): ConnectionPoolBuilder {
  return (options) => {
    const builder = builderOf(options);
    let next = 0;
    return {
      async build(destination = {}) {
        if (destination.host) return await builder.build(destination);
        const broker = options.brokers[next++ % options.brokers.length]!;
        const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(broker)!;
        return await builder.build({ host: host!, port: Number(port) });
      },
    };
  };
}

type Metadata = (options?: { topics?: string[] }) => Promise<Kafkajs.BrokerMetadata | null>;

/** The patched part of kafkajs's Cluster. */
interface Cluster extends Leaders {
  metadata: Metadata;
  brokerPool: { findConnectedBroker(): Promise<{ metadata(topics: string[]): Promise<Kafkajs.BrokerMetadata> }> };
}

function tellingRefusals(metadata: Metadata): Metadata {
  return async function (this: Cluster, options = {}) {
    const answer = await metadata.call(this, options);
    if (answer !== null) return answer;
    const broker = await this.brokerPool.findConnectedBroker();
    return await broker.metadata(options.topics ?? []);
  };
}

const readUncommitted = 0;

function tellingEnds(fetch: Leaders['fetchTopicsOffset']): Leaders['fetchTopicsOffset'] {
  return function (this: Leaders, topics) {
    this.isolationLevel ??= readUncommitted;
    return fetch.call(this, topics);
  };
}

/** Replaces a module of kafkajs that exports one function, before kafkajs loads it. */
function replaceModule<T>(path: string, replacementOf: (original: T) => unknown): void {
  const original: unknown = require(path);
  if (typeof original !== 'function')
    throw new PlatformError('ERR_KAFKA_PATCH', `kafkajs has changed: ${path} is no function`);
  require.cache[require.resolve(path)]!.exports = replacementOf(original as T);
}

/** Replaces methods of a class that a module of kafkajs exports. */
function patchMethods<T>(path: string, patches: { [K in keyof T]?: (original: T[K]) => T[K] }): void {
  const { prototype } = require(path) as { prototype: T };
  for (const name of Object.keys(patches) as (keyof T)[]) {
    if (typeof prototype[name] !== 'function')
      throw new PlatformError('ERR_KAFKA_PATCH', `kafkajs has changed: ${path} has no ${String(name)}`);
    prototype[name] = patches[name]!(prototype[name]);
  }
}

interface Grouping {
  topic: string;
  partitionMetadata: Kafkajs.PartitionMetadata[];
  messages: Kafkajs.Message[];
  partitioner: ReturnType<Kafkajs.ICustomPartitioner>;
}

/** The messages of a send by partition, in their order. */
function groupMessagesPerPartition({ topic, partitionMetadata, messages, partitioner }: Grouping) {
  const groups: Record<number, Kafkajs.Message[]> = {};
  if (partitionMetadata.length === 0) return groups;
  for (const message of messages) (groups[partitioner({ topic, partitionMetadata, message })] ??= []).push(message);
  return groups;
}

interface ProduceResponse {
  topics: { topicName: string; partitions: Omit<Kafkajs.RecordMetadata, 'topicName'>[] }[];
}

const answers = new WeakMap<object, Kafkajs.RecordMetadata[]>();

/** The answers of the partitions in the response to a failed produce request; empty where there was no response. */
export function answersOf(error: unknown): Kafkajs.RecordMetadata[] {
  if (!(error instanceof Error)) return [];
  return answers.get(error) ?? answersOf(error.cause);
}

/** Keeps the whole response with the error of a produce request: kafkajs throws for the first partition that failed. */
function keepAnswers(): void {
  const response = require('kafkajs/src/protocol/requests/produce/v7/response') as {
    parse(data: ProduceResponse): Promise<ProduceResponse>;
  };
  const parse = response.parse.bind(response);
  response.parse = async (data) => {
    try {
      return await parse(data);
    } catch (error) {
      const all = data.topics.flatMap(({ topicName, partitions }) =>
        partitions.map((partition) => ({ topicName, ...partition })),
      );
      answers.set(error as Error, all);
      throw error;
    }
  };
}

interface FetchAnswer {
  responses: { topicName: string; partitions: { partition: number; errorCode: number }[] }[];
}

/** The errors of a partition that kafkajs handles itself: it begins at another offset, or joins again. */
const ofPosition = new Set(['OFFSET_OUT_OF_RANGE', 'UNKNOWN_TOPIC_OR_PARTITION']);

/** Lets the other errors of partitions through to `decoding`: kafkajs throws for the first partition that has one. */
function passPartitionErrors(): void {
  const response = require('kafkajs/src/protocol/requests/fetch/v0/response') as {
    parse(data: FetchAnswer): Promise<FetchAnswer>;
  };
  const parse = response.parse.bind(response);
  response.parse = async (data) => {
    const isOfPosition = ({ errorCode }: { errorCode: number }) =>
      errorCode !== 0 && ofPosition.has(errorOfCode(errorCode).type);
    const responses = data.responses.map(({ topicName, partitions }) => ({
      topicName,
      partitions: partitions.filter(isOfPosition),
    }));
    await parse({ responses });
    return data;
  };
}

/** Adds the version of the metadata request that tells the ids of topics; brokers from before Kafka 3.1 answer an older one. */
function addMetadataVersion(): void {
  const metadata = require('kafkajs/src/protocol/requests/metadata') as {
    versions: string[];
    protocol(options: { version: number }): unknown;
  };
  const newest = Math.max(...metadata.versions.map(Number));
  const protocol = metadata.protocol.bind(metadata);
  metadata.versions.push(String(metadataVersion));
  metadata.protocol = ({ version }) =>
    version >= metadataVersion ? metadataProtocol : protocol({ version: Math.min(version, newest) });
}

/**
 * kafkajs 2.2.4 with fourteen patches. Without them:
 * - It sets a timer for waiting requests even if none waits. The time is negative, so that Node prints
 *   TimeoutNegativeWarning, and the timer sets itself again, so that every connection has a timer of 1 ms that never ends.
 *   The patch sets the timer only if requests wait; `push` asks for it with each request.
 * - It does not pass empty record batches, and the ends of compacted ones.
 * - A batch that it cannot decode, or an error of one partition, ends the fetch of all partitions, and the consumer crashes.
 * - One partition without a leader ends each request of a client: sends to other topics, offsets, joining a group.
 * - Its encoder of produce requests and its decoder of fetched records need several times the CPU of ours.
 * - It copies all messages of a partition once for each message: a thousand messages cost half a million steps.
 * - Its connections keep the last response, after a fetch megabytes, until the next one.
 * - It does not fetch while a consumer handles a batch.
 * - It takes the address of a broker for what is before the first colon, so that it reaches no IPv6 address.
 * - It hands out records of aborted transactions: after two that begin before the same record, or a record whose key is four
 *   zero bytes, as a serialized integer 0.
 * - It does not tell the ids of topics.
 * - It tells an admin that a log ends where a transaction is open, so that a consumer that waits for it seems to have read all.
 * - It answers with null where each broker refuses to describe a topic, for example one that somebody else has just deleted. The patch
 *   asks one of them again, and throws its refusal.
 * - When one partition of a produce request fails, it forgets which ones have succeeded; `answersOf` returns them.
 */
function load(): typeof Kafkajs {
  replaceModule('kafkajs/src/protocol/request.js', () => createRequest);
  replaceModule('kafkajs/src/protocol/requests/produce/v3/request.js', () => produceRequest);
  replaceModule('kafkajs/src/producer/groupMessagesPerPartition.js', () => groupMessagesPerPartition);
  replaceModule('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js', () => recordBytes);
  replaceModule('kafkajs/src/consumer/batch.js', () => FetchedBatch);
  replaceModule('kafkajs/src/cluster/connectionPoolBuilder.js', withIpv6);
  const kafkajs = require('kafkajs') as typeof Kafkajs;
  patchMethods<RequestQueue>('kafkajs/src/network/requestQueue', {
    scheduleCheckPendingRequests: () => scheduleCheckPendingRequests,
  });
  patchMethods<Connection>('kafkajs/src/network/connection', { processData: forgettingAnswers });
  passPartitionErrors();
  passLeaderless();
  patchMethods<Broker>('kafkajs/src/broker', { fetch: (fetch) => prefetching(decoding(fetch as never, errorOfCode)) });
  patchMethods<Cluster>('kafkajs/src/cluster', {
    metadata: tellingRefusals,
    findLeaderForPartitions: namingLeaderless,
    fetchTopicsOffset: (fetch) => tellingEnds(skippingLeaderless(fetch)),
  });
  addMetadataVersion();
  keepAnswers();
  return kafkajs;
}

export const kafkajs = load();
