import { createRequire } from 'node:module';
import type * as Kafkajs from 'kafkajs';
import { PlatformError } from '#platform/errors';
import { decodeMessages } from './fetch.ts';
import { prefetching } from './prefetch.ts';
import type { Fetch } from './prefetch.ts';
import { createRequest, produceRequest } from './produce.ts';

const require = createRequire(import.meta.url);

/** The part of kafkajs's RequestQueue that is mended here. */
interface RequestQueue {
  pending: unknown[];
  /** milliseconds since 1970, -1 while the broker does not throttle */
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

/** Milliseconds until a request that waits for others in flight is looked at again, as in kafkajs. */
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

/** The part of kafkajs's Connection that is mended here. */
interface Connection {
  /** what came and is not an answer yet */
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

/** The part of kafkajs's Broker that is mended here. */
interface Broker {
  fetch: Fetch<Broker>;
}

/** Puts a function of ours in the place of a module of kafkajs that exports one function, before kafkajs loads it. */
function replaceModule(path: string, replacement: unknown): void {
  const original: unknown = require(path);
  if (typeof original !== 'function')
    throw new PlatformError('ERR_KAFKA_PATCH', `kafkajs has changed: ${path} is no function`);
  require.cache[require.resolve(path)]!.exports = replacement;
}

/** Puts functions of ours in the place of methods of a class that a module of kafkajs exports. */
function mendMethod<T>(path: string, mends: { [K in keyof T]?: (original: T[K]) => T[K] }): void {
  const { prototype } = require(path) as { prototype: T };
  for (const name of Object.keys(mends) as (keyof T)[]) {
    if (typeof prototype[name] !== 'function')
      throw new PlatformError('ERR_KAFKA_PATCH', `kafkajs has changed: ${path} has no ${String(name)}`);
    prototype[name] = mends[name]!(prototype[name]);
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

/** What a failed produce request was answered, partition by partition; empty where there was no answer. */
export function answersOf(error: unknown): Kafkajs.RecordMetadata[] {
  if (!(error instanceof Error)) return [];
  return answers.get(error) ?? answersOf(error.cause);
}

/** Lets the error of a produce request keep the whole answer: kafkajs throws for the first partition that failed. */
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

/**
 * kafkajs 2.2.4 with six mends:
 * - It sets a timer for its waiting requests even where none waits: with a negative time, so that Node prints
 *   TimeoutNegativeWarning, and again each time it fires, so that every connection keeps a timer of 1 ms running forever.
 *   The timer is set for requests that wait only; `push` asks for it with each of them.
 * - Its encoder of produce requests and its decoder of what a fetch brings are replaced by ours, which give the same for
 *   much less.
 * - It copies the messages of a partition anew for each of them that it sends: a thousand cost half a million steps.
 * - Its connections keep the last answer, which after a fetch is megabytes, until the next one.
 * - It fetches nothing while a consumer is at work on what it has.
 * - It forgets which partitions of a produce request succeeded when one failed; `answersOf` tells.
 */
function load(): typeof Kafkajs {
  replaceModule('kafkajs/src/protocol/request.js', createRequest);
  replaceModule('kafkajs/src/protocol/requests/produce/v3/request.js', produceRequest);
  replaceModule('kafkajs/src/producer/groupMessagesPerPartition.js', groupMessagesPerPartition);
  replaceModule('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js', decodeMessages);
  const kafkajs = require('kafkajs') as typeof Kafkajs;
  mendMethod<RequestQueue>('kafkajs/src/network/requestQueue', {
    scheduleCheckPendingRequests: () => scheduleCheckPendingRequests,
  });
  mendMethod<Connection>('kafkajs/src/network/connection', { processData: forgettingAnswers });
  mendMethod<Broker>('kafkajs/src/broker', { fetch: prefetching });
  keepAnswers();
  return kafkajs;
}

export const kafkajs = load();
