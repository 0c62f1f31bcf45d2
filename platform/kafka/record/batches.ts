import { PlatformError } from '#platform/errors';
import type { ByteRange, IncomingMessage, TopicPartition } from '../port.ts';
import { codecOf } from './codecs.ts';
import { corrupt, LogMessage } from './decoder.ts';
import type { BatchContext, RecordBatch } from './decoder.ts';
import { batchHeadSize } from './encoder.ts';

// The batches of Kafka's log, as a fetch brings them. https://kafka.apache.org/documentation/#recordbatch

/** the bytes before those that the size of a batch counts: its first offset and the size itself */
const uncounted = 12;
const magicAt = 16;
const recordsAt = batchHeadSize;
const currentMagic = 2;
/** the least sizes of a batch, and of a message in the formats from before Kafka 0.11 */
const leastSize = recordsAt - uncounted;
const leastOldSize = 14;
/** No batch is larger, because a broker takes no larger request (`socket.request.max.bytes`). */
const maxSize = 100 * 1024 * 1024;
const appendTimeFlag = 0x8;
const transactionalFlag = 0x10;
const controlFlag = 0x20;
/** how far the log may have grown while the broker read it: it tells the end from before */
const maxGrowth = 1_000_000n;

/** The most bytes of the decompressed records of a response, and so of a batch: a process has two responses in memory. */
export const maxDecompressedBytes = 16 * 1024 * 1024;

/** about the memory of a message beside the bytes of its record: there can be millions in the bytes of one large one */
const messageBytes = 64;

/** How many bytes the records of a response may still have when decompressed. */
export interface Budget {
  left: number;
}

/** What the records of an unreadable batch are replaced by. */
interface Unreadable {
  last: bigint;
  error: PlatformError;
}

/** Stands for records that cannot be read. */
export class UnreadableRecords implements IncomingMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key = null;
  readonly value = null;
  readonly headers = {};
  readonly timestamp = 0;
  readonly isControlRecord = false;
  /** the first of their offsets */
  readonly offset: bigint;
  readonly unreadable: Unreadable;
  readonly batchContext: BatchContext;

  constructor({ topic, partition }: TopicPartition, first: bigint, unreadable: Unreadable, context: BatchContext) {
    this.topic = topic;
    this.partition = partition;
    this.offset = first;
    this.unreadable = unreadable;
    this.batchContext = context;
  }
}

export interface FetchedRecords {
  /** in the order of their offsets; control records among them */
  messages: (LogMessage | UnreadableRecords)[];
  /** the offset after the last batch */
  nextOffset: bigint;
}

/** The batches of a partition in the response to a fetch. */
export interface FetchedBytes extends TopicPartition {
  records: ByteRange;
  /** the requested offset: the first batch can begin before it */
  fetchOffset: bigint;
  highWatermark: bigint;
}

/**
 * Decodes the batches of a partition. One that cannot be read costs its own offsets. The last one is left out where the broker has
 * cut it off. So is one for whose decompressed records the budget has too little left, with all that follow: the next fetch brings
 * them.
 * @throws where the fault is that of this process, as a codec that it cannot load
 */
export async function decodeBatches(from: FetchedBytes, budget: Budget): Promise<FetchedRecords> {
  const { bytes, start, end } = from.records;
  const messages: FetchedRecords['messages'] = [];
  let nextOffset = from.fetchOffset;
  /** the unreadable batch before */
  let unreadable: UnreadableRecords | undefined;
  for (let at = start; at + magicAt < end;) {
    const head = headOf(bytes, at, end);
    if (head.isSized && head.end > end) break;
    const isThere = head.isSized && head.last >= nextOffset && head.last < from.highWatermark + maxGrowth;
    const read = isThere ? await readBatch(bytes, head, from, budget) : corrupt('no batch begins where one is due');
    if (read === undefined) break;
    const first = isThere && head.magic >= currentMagic && head.base > nextOffset ? head.base : nextOffset;
    const last = isThere ? head.last : first;
    if (unreadable) unreadable.unreadable.last = first - 1n; // nobody knows where it really ends
    if (Array.isArray(read)) {
      unreadable = undefined;
      for (const message of read) if (head.base >= nextOffset || message.offset >= nextOffset) messages.push(message);
    } else if (unreadable) {
      unreadable.unreadable.last = last;
    } else {
      unreadable = new UnreadableRecords(
        from,
        first,
        { last, error: read },
        isThere ? contextOf(bytes, at) : noContext,
      );
      messages.push(unreadable);
    }
    nextOffset = last + 1n;
    if (!isThere) break; // its size may not be true either: the next fetch begins behind the offset that was due
    at = head.end;
  }
  return { messages, nextOffset };
}

/** Where a batch is, and its offsets. */
interface Head {
  at: number;
  /** where the next batch begins */
  end: number;
  /** whether its size can be true */
  isSized: boolean;
  magic: number;
  base: bigint;
  /** below the base where that cannot be true */
  last: bigint;
}

function headOf(bytes: Buffer, at: number, limit: number): Head {
  const size = bytes.readInt32BE(at + 8);
  const magic = bytes[at + magicAt]!;
  const end = at + uncounted + size;
  const isOld = magic < currentMagic;
  const isSized = size >= (isOld ? leastOldSize : leastSize) && size <= maxSize;
  const base = bytes.readBigInt64BE(at);
  if (isOld || !isSized || end > limit) return { at, end, isSized, magic, base, last: base };
  const delta = bytes.readInt32BE(at + 23);
  return { at, end, isSized, magic, base, last: delta < 0 ? -1n : base + BigInt(delta) };
}

const noContext: BatchContext = { producerId: '-1', inTransaction: false, isControlBatch: false };

function contextOf(bytes: Buffer, at: number): BatchContext {
  if (bytes[at + magicAt] !== currentMagic) return noContext;
  const attributes = bytes.readInt16BE(at + 21);
  return {
    producerId: String(bytes.readBigInt64BE(at + 43)),
    inTransaction: (attributes & transactionalFlag) > 0,
    isControlBatch: (attributes & controlFlag) > 0,
  };
}

const tooLarge = () =>
  new PlatformError(
    'ERR_KAFKA_COMPRESSION',
    `the records of a batch have more than ${maxDecompressedBytes} bytes when decompressed`,
  );

/** @returns its records; why they cannot be read; undefined where the budget has too little left */
async function readBatch(
  bytes: Buffer,
  { at, end, magic, base }: Head,
  partition: TopicPartition,
  budget: Budget,
): Promise<LogMessage[] | PlatformError | undefined> {
  if (magic !== currentMagic)
    return new PlatformError('ERR_KAFKA_RECORD_FORMAT', `a record batch has format ${magic}, which is not supported`);
  const attributes = bytes.readInt16BE(at + 21);
  const batch: RecordBatch = {
    buffer: bytes,
    partition,
    firstOffset: Number(base),
    lastOffsetDelta: bytes.readInt32BE(at + 23),
    count: bytes.readInt32BE(at + 57),
    firstTimestamp: bytes.readBigInt64BE(at + 27),
    appendTime: attributes & appendTimeFlag ? bytes.readBigInt64BE(at + 35) : undefined,
    context: contextOf(bytes, at),
  };
  if (batch.count === 0 && at + recordsAt === end) return []; // compaction and aborted transactions leave it
  try {
    const codec = codecOf(attributes);
    if (batch.count < 0) return corrupt('it has a negative number of records');
    if (!codec) return LogMessage.readAll(batch, at + recordsAt, end);
    if (budget.left <= 0) return undefined;
    const room = budget.left - batch.count * messageBytes;
    const records = room > 0 ? await codec.decompress(bytes.subarray(at + recordsAt, end), room) : undefined;
    if (records === undefined) {
      if (budget.left === maxDecompressedBytes) return tooLarge();
      budget.left = 0;
      return undefined;
    }
    budget.left = room - records.length;
    return LogMessage.readAll({ ...batch, buffer: records }, 0, records.length);
  } catch (error) {
    if (error instanceof PlatformError) return error;
    throw error;
  }
}
