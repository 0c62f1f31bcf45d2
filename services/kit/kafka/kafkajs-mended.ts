import { createRequire } from 'node:module';
import type * as Kafkajs from 'kafkajs';
import { decodeMessages } from './kafkajs-fetch.ts';
import { encodeBatch, encodeRecord } from './kafkajs-records.ts';

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

/** The part of kafkajs's Encoder that is mended here. */
interface Encoder {
  buf: Buffer;
  offset: number;
  ensureAvailable(length: number): void;
}

/** bytes for what is written behind a batch */
const encoderSlack = 512;

function ensureAvailable(this: Encoder, length: number): void {
  const needed = this.offset + length;
  if (needed <= this.buf.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.buf.length, needed + encoderSlack));
  this.buf.copy(larger, 0, 0, this.offset);
  this.buf = larger;
}

/** Puts a function of ours in the place of a module of kafkajs that exports one function, before kafkajs loads it. */
function replaceModule(path: string, replacement: unknown): void {
  const original: unknown = require(path);
  if (typeof original !== 'function') throw new TypeError(`kafkajs has changed: ${path} is no function`);
  require.cache[require.resolve(path)]!.exports = replacement;
}

/** It is one of several exports of its module; who needs it takes it when that is loaded. */
function replaceEncodeBatch(): void {
  const module = require('kafkajs/src/protocol/recordBatch/v0') as { RecordBatch: unknown };
  if (typeof module.RecordBatch !== 'function') throw new TypeError('kafkajs has changed: there is no RecordBatch');
  module.RecordBatch = encodeBatch;
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
 * kafkajs 2.2.4 with five mends:
 * - It sets a timer for its waiting requests even where none waits: with a negative time, so that Node prints
 *   TimeoutNegativeWarning, and again each time it fires, so that every connection keeps a timer of 1 ms running forever.
 *   The timer is set for requests that wait only; `push` asks for it with each of them.
 * - Its encoders of records and of their batches and its decoder of what a fetch brings are replaced by ours, which give
 *   the same for much less.
 * - It copies the messages of a partition anew for each of them that it sends: a thousand cost half a million steps.
 * - Its buffers grow to the next power of two and are zeroed, again in each of the four layers around a batch.
 * - It forgets which partitions of a produce request succeeded when one failed; `answersOf` tells.
 */
function load(): typeof Kafkajs {
  replaceModule('kafkajs/src/protocol/recordBatch/record/v0/index.js', encodeRecord);
  replaceEncodeBatch();
  replaceModule('kafkajs/src/producer/groupMessagesPerPartition.js', groupMessagesPerPartition);
  replaceModule('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js', decodeMessages);
  const kafkajs = require('kafkajs') as typeof Kafkajs;
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  if (typeof prototype.scheduleCheckPendingRequests !== 'function') {
    throw new TypeError('kafkajs has changed: RequestQueue has no scheduleCheckPendingRequests');
  }
  prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests;
  const encoder = (require('kafkajs/src/protocol/encoder') as { prototype: Encoder }).prototype;
  if (typeof encoder.ensureAvailable !== 'function') throw new TypeError('kafkajs has changed: Encoder does not grow');
  encoder.ensureAvailable = ensureAvailable;
  keepAnswers();
  return kafkajs;
}

export const kafkajs = load();
