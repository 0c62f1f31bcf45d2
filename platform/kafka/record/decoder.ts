import { PlatformError } from '#platform/errors';
import type { ByteRange, IncomingMessage, RawRecord, TopicPartition } from '../port.ts';

// The record format of Kafka's log (version 2), decoded lazily: one pass finds the records and where their fields end, and a
// field is decoded when it is read. https://kafka.apache.org/documentation/#record

/** The attributes that all records of a batch share, and that tell the aborted transactions. */
export interface BatchContext {
  producerId: string;
  inTransaction: boolean;
  isControlBatch: boolean;
}

export const corrupt = (reason: string): PlatformError =>
  new PlatformError('ERR_KAFKA_RECORDS_CORRUPT', `a record batch is corrupt: ${reason}`);

/** Most records repeat the header names and values of the record before: the last text of each header is kept. */
const shortText = 64;
const layout: { name: Text; value: Text }[] = [];
const maxLayout = 32;
/** After this many different texts in a row, only one of this many is kept. */
const manyMisses = 16;

class Text {
  #bytes: Uint8Array = new Uint8Array(0);
  #text = '';
  /** different texts in a row */
  #misses = 0;

  /** Decodes a text; returns the last string again if the bytes are the same. */
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

/** Reads varints. All decoders share it, because none waits between two reads. */
const cursor = {
  at: 0,
  /** Moves to a field and reads its length; -1 if it has no value. The field begins at the cursor then. */
  moveTo(at: number, buffer: Buffer): number {
    this.at = at;
    this.length = this.varint(buffer);
    return this.length;
  },
  /** Moves past that field and reads the next number. */
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
  /** A number of up to 64 bits, of which `varint` loses the last ones where it has more than 53. */
  varlong(buffer: Buffer): number | bigint {
    const start = this.at;
    const number = this.varint(buffer);
    if (this.at - start <= exactBytes) return number;
    let result = 0n;
    for (let i = this.at - 1; i >= start; i--) result = (result << 7n) | BigInt(buffer[i]! & 127);
    return BigInt.asIntN(64, (result >> 1n) ^ -(result & 1n));
  },
  /** Moves past a field. */
  skip(buffer: Buffer): void {
    const length = this.varint(buffer);
    if (length > 0) this.at += length;
  },
};
/** so many bytes of a varint have no more than 53 bits */
const exactBytes = 7;

/** A record batch in the bytes of a fetch. */
export interface RecordBatch {
  /** where the records are: the bytes of the fetch, or the decompressed ones */
  buffer: Buffer;
  partition: TopicPartition;
  firstOffset: number;
  lastOffsetDelta: number;
  /** how many records it has */
  count: number;
  firstTimestamp: bigint;
  /** the time of all records, if the broker sets it */
  appendTime: bigint | undefined;
  context: BatchContext;
}

/** The byte range of the key in the record body that begins at `at`. */
export function keyOf(buffer: Buffer, at: number): { start: number; end: number } {
  const length = cursor.moveTo(at, buffer);
  return { start: cursor.at, end: cursor.at + Math.max(0, length) };
}

/** The key, the value and the headers of a record in a buffer. Each call decodes anew. */
export class RecordBody {
  readonly #at: number;

  /** @param at the position of the key's length */
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

  /** Of a repeated header the last counts; a header without a value is left out. */
  headersIn(buffer: Buffer): Record<string, string> {
    const headers: Record<string, string> = {};
    cursor.moveTo(this.#at, buffer);
    cursor.next(buffer);
    const count = cursor.next(buffer);
    for (let i = 0; i < count; i++) {
      const field = (layout[Math.min(i, maxLayout)] ??= { name: new Text(), value: new Text() });
      const nameLength = cursor.varint(buffer);
      const nameAt = cursor.at;
      cursor.at += nameLength;
      const valueLength = cursor.varint(buffer);
      const valueAt = cursor.at;
      if (valueLength < 0) continue;
      cursor.at += valueLength;
      const name = field.name.of(buffer, nameAt, nameAt + nameLength);
      headers[name] = field.value.of(buffer, valueAt, valueAt + valueLength);
    }
    return headers;
  }

  /** The fields as they are. */
  fieldsIn(buffer: Buffer): Omit<RawRecord, 'timestamp'> {
    const field = () => {
      const length = cursor.varint(buffer);
      const start = cursor.at;
      cursor.at += Math.max(0, length);
      return length < 0 ? null : buffer.subarray(start, cursor.at);
    };
    cursor.at = this.#at;
    const key = field();
    const value = field();
    const headers = Array.from({ length: cursor.varint(buffer) }, () => [field()!, field()] as const);
    return { key, value, headers };
  }
}

/** A message in the bytes of a fetch. A fetch has thousands of them, so a message holds only its position. */
export class LogMessage extends RecordBody implements IncomingMessage {
  readonly #batch: RecordBatch;
  /** its offset, counted from the first one of the batch */
  readonly #offsetDelta: number;
  readonly #timestampDelta: number | bigint;

  /**
   * Reads the record at the cursor, and moves the cursor past it.
   * @param end of the records
   * @throws ERR_KAFKA_RECORDS_CORRUPT if the fields of the record do not end where it ends
   */
  constructor(batch: RecordBatch, end: number) {
    const { buffer } = batch;
    const length = cursor.varint(buffer);
    const ownEnd = cursor.at + length;
    if (!(length > 0 && ownEnd <= end)) throw corrupt('a record is longer than its batch');
    cursor.at += 1; // attributes: none are defined
    const timestampDelta = cursor.varlong(buffer);
    const offsetDelta = cursor.varint(buffer);
    super(cursor.at);
    cursor.skip(buffer);
    cursor.skip(buffer);
    let headers = cursor.varint(buffer);
    if (headers < 0) throw corrupt('a record has a negative number of headers');
    for (; headers > 0 && cursor.at < ownEnd; headers -= 1) {
      const nameLength = cursor.varint(buffer);
      if (nameLength < 0) throw corrupt('a header has no name');
      cursor.at += nameLength;
      cursor.skip(buffer);
    }
    if (headers > 0 || cursor.at !== ownEnd) throw corrupt('the fields of a record do not end where it ends');
    this.#batch = batch;
    this.#timestampDelta = timestampDelta;
    this.#offsetDelta = offsetDelta;
  }

  /**
   * Reads the records of a batch.
   * @param start where they begin in its buffer, and `end` where they end
   * @throws ERR_KAFKA_RECORDS_CORRUPT if they are not as the batch says: their fields, their number, their offsets, or where they end
   */
  static readAll(batch: RecordBatch, start: number, end: number): LogMessage[] {
    const { count, lastOffsetDelta } = batch;
    const messages: LogMessage[] = [];
    let last = -1;
    cursor.at = start;
    for (let i = 0; i < count; i++) {
      const message = new LogMessage(batch, end);
      const delta = message.#offsetDelta;
      if (!(delta > last && delta <= lastOffsetDelta)) throw corrupt('the offsets of its records do not rise');
      last = delta;
      messages.push(message);
    }
    if (cursor.at !== end) throw corrupt('its records do not end where it ends');
    return messages;
  }

  get topic(): string {
    return this.#batch.partition.topic;
  }

  get partition(): number {
    return this.#batch.partition.partition;
  }

  get offset(): bigint {
    return BigInt(this.#batch.firstOffset + this.#offsetDelta);
  }

  get timestamp(): number {
    return Number(this.#exactTime);
  }

  get #exactTime(): bigint {
    return this.#batch.appendTime ?? this.#batch.firstTimestamp + BigInt(this.#timestampDelta);
  }

  get batchContext(): BatchContext {
    return this.#batch.context;
  }

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

  raw(): RawRecord {
    return { ...this.fieldsIn(this.#batch.buffer), timestamp: this.#exactTime };
  }
}
