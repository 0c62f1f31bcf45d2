import { createRequire } from 'node:module';
import { PlatformError } from '#platform/errors';
import type { ByteRange, IncomingMessage, TopicPartition } from '../port.ts';

// What a fetch brings, read in one pass over the bytes of Kafka's log (record batches of version 2). kafkajs makes a
// decoder, a buffer a header and several numbers as text for each record; here a record is its place in the fetched bytes.
// https://kafka.apache.org/documentation/#recordbatch

const require = createRequire(import.meta.url);

interface Decoder {
  buffer: Buffer;
  offset: number;
  readInt32(): number;
  canReadBytes(length: number): boolean;
}

/** The compression that the attributes of a batch name, null for none. @throws for one that is not installed */
type LookupCodec = (attributes: number) => { decompress(buffer: Buffer): Promise<Buffer> } | null;

/** What all records of a batch share; kafkajs leaves out aborted transactions by it. */
interface BatchContext {
  producerId: string;
  inTransaction: boolean;
  isControlBatch: boolean;
}

const magic = 2;
const magicAt = 16;
const recordsAt = 61;
const appendTimeFlag = 0x8;
const transactionalFlag = 0x10;
const controlFlag = 0x20;

/** Header names and values come again and again: the text made last for each place in a record is kept. */
const shortText = 64;
const layout: { name: Text; value: Text }[] = [];
const maxLayout = 32;
/** Behind so many texts that differ, only one in so many is kept. */
const manyMisses = 16;

class Text {
  #bytes: Uint8Array = new Uint8Array(0);
  #text = '';
  /** in a row */
  #misses = 0;

  /** The text of some bytes; the same string as before where they are the same bytes. */
  of(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    const bytes = this.#bytes;
    if (length === bytes.length) {
      let i = length - 1; // ids and times differ at their end
      while (i >= 0 && bytes[i] === buffer[start + i]) i -= 1;
      if (i < 0) {
        this.#misses = 0;
        return this.#text;
      }
    }
    const text = buffer.toString('utf8', start, end);
    this.#misses += 1;
    if (length > shortText || (this.#misses > manyMisses && this.#misses % manyMisses > 0)) return text;
    this.#bytes = Uint8Array.prototype.slice.call(buffer, start, end);
    this.#text = text;
    return text;
  }
}

/** Reads numbers of variable length; one for all, as nothing here waits between two reads. */
const cursor = {
  at: 0,
  /** Goes to a field of a record and reads its length, behind which it begins; -1 where there is none. */
  moveTo(at: number, buffer: Buffer): number {
    this.at = at;
    this.length = this.varint(buffer);
    return this.length;
  },
  /** Goes on behind that field, and reads the number there. */
  next(buffer: Buffer): number {
    if (this.length > 0) this.at += this.length;
    this.length = this.varint(buffer);
    return this.length;
  },
  length: 0,
  varint(buffer: Buffer): number {
    let byte = buffer[this.at++]!;
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1);
    let result = byte & 127;
    let factor = 128;
    do {
      byte = buffer[this.at++]!;
      result += (byte & 127) * factor;
      factor *= 128;
    } while (byte > 127);
    return result % 2 === 0 ? result / 2 : -(result + 1) / 2;
  },
};

/** Records that were written together, in the bytes of a fetch. */
interface RecordBatch {
  buffer: Buffer;
  firstOffset: number;
  firstTimestamp: number;
  /** the time of all of them where the broker gives it */
  appendTime: number | undefined;
  /** for kafkajs */
  context: BatchContext;
  /** where it was fetched from, which its reader says */
  place: TopicPartition | undefined;
}

/** Where the key of a record lies whose body begins at `at`. */
export function keyOf(buffer: Buffer, at: number): { start: number; end: number } {
  const length = cursor.moveTo(at, buffer);
  return { start: cursor.at, end: cursor.at + Math.max(0, length) };
}

/** Key, value and headers of a record, as they lie in some bytes; what somebody asks for is read, and read anew each time. */
export class RecordBody {
  readonly #at: number;

  /** @param at where the length of the key is */
  constructor(at: number) {
    this.#at = at;
  }

  keyIn(buffer: Buffer): string | null {
    const length = cursor.moveTo(this.#at, buffer);
    return length < 0 ? null : buffer.toString('utf8', cursor.at, cursor.at + length);
  }

  valueIn(bytes: Buffer): ByteRange | null {
    cursor.moveTo(this.#at, bytes);
    const length = cursor.next(bytes);
    return length < 0 ? null : { bytes, start: cursor.at, end: cursor.at + length };
  }

  /** Of a header that is repeated, the last counts; one without a value is left out. */
  headersIn(buffer: Buffer): Record<string, string> {
    const headers: Record<string, string> = {};
    cursor.moveTo(this.#at, buffer);
    cursor.next(buffer);
    const count = cursor.next(buffer);
    for (let i = 0; i < count; i++) {
      const place = (layout[Math.min(i, maxLayout)] ??= { name: new Text(), value: new Text() });
      const nameLength = cursor.varint(buffer);
      const nameAt = cursor.at;
      cursor.at += nameLength;
      const valueLength = cursor.varint(buffer);
      const valueAt = cursor.at;
      if (valueLength < 0) continue;
      cursor.at += valueLength;
      const name = place.name.of(buffer, nameAt, nameAt + nameLength);
      headers[name] = place.value.of(buffer, valueAt, valueAt + valueLength);
    }
    return headers;
  }
}

/** A message in the bytes of a fetch. There are thousands of them at a time, so it is no more than its place there. */
export class LogMessage extends RecordBody implements IncomingMessage {
  readonly #batch: RecordBatch;
  readonly #offsetDelta: number;
  readonly #timestampDelta: number;

  /** Reads the record at the cursor, and moves the cursor behind it. */
  constructor(batch: RecordBatch) {
    const { buffer } = batch;
    const length = cursor.varint(buffer);
    const end = cursor.at + length;
    cursor.at += 1; // attributes: none are defined
    const timestampDelta = cursor.varint(buffer);
    const offsetDelta = cursor.varint(buffer);
    super(cursor.at);
    this.#batch = batch;
    this.#timestampDelta = timestampDelta;
    this.#offsetDelta = offsetDelta;
    cursor.at = end;
  }

  /** Says where messages were fetched from. */
  static place(messages: readonly LogMessage[], place: TopicPartition): void {
    for (const message of messages) message.#batch.place = place;
  }

  get topic(): string {
    return this.#batch.place!.topic;
  }

  get partition(): number {
    return this.#batch.place!.partition;
  }

  get offset(): bigint {
    return BigInt(this.#batch.firstOffset + this.#offsetDelta);
  }

  get timestamp(): number {
    return this.#batch.appendTime ?? this.#batch.firstTimestamp + this.#timestampDelta;
  }

  /** for kafkajs */
  get batchContext(): BatchContext {
    return this.#batch.context;
  }

  /** for kafkajs */
  get isControlRecord(): boolean {
    return this.#batch.context.isControlBatch;
  }

  get key(): string | null {
    return this.keyIn(this.#batch.buffer);
  }

  get value(): Buffer | null {
    const range = this.valueRange;
    return range && range.bytes.subarray(range.start, range.end);
  }

  get valueRange(): ByteRange | null {
    return this.valueIn(this.#batch.buffer);
  }

  get headers(): Record<string, string> {
    return this.headersIn(this.#batch.buffer);
  }
}

const { lookupCodecByAttributes } = require('kafkajs/src/protocol/message/compression') as {
  lookupCodecByAttributes: LookupCodec;
};

/**
 * Reads the messages of a partition from a fetch's answer, in the place of kafkajs's function of this name.
 * @throws for records of the formats that Kafka wrote before 0.11
 */
export async function decodeMessages(decoder: Decoder): Promise<LogMessage[]> {
  const size = decoder.readInt32();
  if (size <= 0 || !decoder.canReadBytes(size)) return [];
  const start = decoder.offset;
  decoder.offset += size;
  return decodeBatches(decoder.buffer, start, start + size);
}

async function decodeBatches(buffer: Buffer, start: number, end: number): Promise<LogMessage[]> {
  const messages: LogMessage[] = [];
  for (let at = start; at + recordsAt <= end;) {
    const next = at + 12 + buffer.readInt32BE(at + 8);
    if (next > end) break; // a fetch may end in the middle of a batch
    if (buffer[at + magicAt] !== magic)
      throw new PlatformError('ERR_KAFKA_RECORD_FORMAT', `records of format ${buffer[at + magicAt]} are not supported`);
    const attributes = buffer.readInt16BE(at + 21);
    const batch: RecordBatch = {
      buffer,
      firstOffset: Number(buffer.readBigInt64BE(at)),
      firstTimestamp: Number(buffer.readBigInt64BE(at + 27)),
      appendTime: attributes & appendTimeFlag ? Number(buffer.readBigInt64BE(at + 35)) : undefined,
      context: {
        producerId: String(buffer.readBigInt64BE(at + 43)),
        inTransaction: (attributes & transactionalFlag) > 0,
        isControlBatch: (attributes & controlFlag) > 0,
      },
      place: undefined,
    };
    const count = buffer.readInt32BE(at + 57);
    const codec = lookupCodecByAttributes(attributes);
    if (codec) batch.buffer = await codec.decompress(buffer.subarray(at + recordsAt, next));
    cursor.at = codec ? 0 : at + recordsAt;
    for (let i = 0; i < count; i++) messages.push(new LogMessage(batch));
    at = next;
  }
  return messages;
}
