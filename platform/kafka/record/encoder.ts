// The record format of Kafka's log (version 2), written in one pass. kafkajs makes a buffer of 512 bytes for each header and
// computes with BigInt: an event with eight headers takes it five times as long.
// https://kafka.apache.org/documentation/#recordbatch

import { crc32c } from './crc32c.ts';

type FieldValue = string | Buffer | null | undefined;

/** The fields of a record. */
export interface RecordFields {
  offsetDelta: number;
  timestampDelta: number;
  key?: string | Buffer | null | undefined;
  value: string | Buffer | null;
  headers?: Record<string, FieldValue | FieldValue[]> | undefined;
}

const firstSize = 16 * 1024;
/** what one more record can need: 3 bytes are reserved for each character of a text */
const slack = 4 * 1024;

/** A signed number of up to 53 bits in zigzag form. */
const zigzag = (value: number) => (value >= 0 ? value * 2 : -value * 2 - 1);

/** The size of a signed number as a varint. */
function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** A buffer that grows at its end. */
export class RecordWriter {
  length = 0;
  #buffer: Buffer = Buffer.alloc(0);
  /** the size of the next first buffer: that of the last content */
  #firstSize: number;
  readonly #usualSize: number;

  /**
   * @param expected the expected number of bytes
   * @param usualSize the usual maximum: up to this size, the buffer does not double beyond it
   */
  constructor(expected = firstSize, usualSize = Number.POSITIVE_INFINITY) {
    this.#firstSize = expected;
    this.#usualSize = usualSize;
  }

  /** The content: a view, valid until the next write. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  /** Returns the content and starts anew. */
  take(): Buffer {
    const { bytes } = this;
    this.#firstSize = Math.max(firstSize, bytes.length);
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
    return bytes;
  }

  varint(value: number): void {
    this.#reserve(8);
    this.length = this.#putVarint(this.length, value);
  }

  /** The length of a text and its UTF-8 bytes. */
  text(text: string): void {
    const { length } = this;
    this.#reserve(5 + 3 * text.length);
    const guess = sizeOfVarint(text.length); // correct for ASCII, which most texts are
    const written = this.#buffer.write(text, length + guess);
    const size = sizeOfVarint(written);
    if (size !== guess) this.#buffer.copyWithin(length + size, length + guess, length + guess + written);
    this.#putVarint(length, written);
    this.length = length + size + written;
  }

  /** The length of a field and its bytes; the length is -1 where there is no value. */
  field(value: FieldValue): void {
    if (typeof value === 'string') this.text(value);
    else if (value) {
      this.varint(value.length);
      this.copy(value);
    } else this.varint(-1);
  }

  /** The bytes of a part of a buffer. */
  copy(source: Buffer, start = 0, end = source.length): void {
    this.#reserve(end - start);
    this.length += source.copy(this.#buffer, this.length, start, end);
  }

  int16(value: number): void {
    this.#reserve(2);
    this.length = this.#buffer.writeInt16BE(value, this.length);
  }

  int32(value: number): void {
    this.#reserve(4);
    this.length = this.#buffer.writeInt32BE(value, this.length);
  }

  /** Leaves bytes that the caller fills in later. @returns their position */
  skip(size: number): number {
    this.#reserve(size);
    this.length += size;
    return this.length - size;
  }

  setInt32(at: number, value: number): void {
    this.#buffer.writeInt32BE(value, at);
  }

  #putVarint(at: number, value: number): number {
    let rest = zigzag(value);
    let offset = at;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#buffer[offset++] = (rest % 128) + 128;
    this.#buffer[offset++] = rest;
    return offset;
  }

  #reserve(more: number): void {
    const size = this.length + more;
    if (size <= this.#buffer.length) return;
    const grown = Math.max(Math.min(2 * this.#buffer.length, this.#usualSize), size + slack);
    const larger = Buffer.allocUnsafe(this.length === 0 && size <= this.#firstSize ? this.#firstSize : grown);
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}

/** Writes the fields before the key: they have the size of the record. */
function writeHead(writer: RecordWriter, bodySize: number, timestampDelta: number, offsetDelta: number): void {
  writer.varint(1 + sizeOfVarint(timestampDelta) + sizeOfVarint(offsetDelta) + bodySize);
  writer.varint(0); // attributes
  writer.varint(timestampDelta);
  writer.varint(offsetDelta);
}

/** The key, the value and the headers of the record that is being written: its head needs their size. */
let body = new RecordWriter();
/** a larger buffer is not kept for the next record */
const maxKept = 1024 * 1024;

/** Writes a record. */
export function writeRecord(writer: RecordWriter, fields: RecordFields): void {
  const { offsetDelta, timestampDelta, key, value, headers } = fields;
  body.length = 0;
  body.field(key);
  body.field(value);
  let count = 0;
  for (const name in headers) count += Array.isArray(headers[name]) ? headers[name].length : 1;
  body.varint(count);
  for (const name in headers) {
    const header = headers[name];
    for (const each of Array.isArray(header) ? header : [header]) {
      body.text(name);
      body.field(each);
    }
  }
  writeHead(writer, body.length, timestampDelta, offsetDelta);
  writer.copy(body.bytes);
  if (body.length > maxKept) body = new RecordWriter();
}

/** Records of one partition whose bodies (key, value and headers) are encoded already; their time is that of the batch. */
export class PartitionRecords {
  count = 0;
  readonly #writer: RecordWriter;

  /** @param expected the expected number of bytes */
  constructor(expected: number) {
    this.#writer = new RecordWriter(expected);
  }

  get size(): number {
    return this.#writer.length;
  }

  get bytes(): Buffer {
    return this.#writer.bytes;
  }

  /** Adds a record whose body is a part of a buffer. */
  add(source: Buffer, start: number, end: number): void {
    writeHead(this.#writer, end - start, 0, this.count);
    this.#writer.copy(source, start, end);
    this.count += 1;
  }
}

/** The fields about the records in the head of a record batch. */
export interface BatchHead {
  count: number;
  /** milliseconds since 1970 */
  firstTimestamp: number;
  maxTimestamp: number;
  /** the number of the compression; default: 0, not compressed */
  attributes?: number;
}

export const batchHeadSize = 61;
const crcAt = 17;
const noProducer = -1n;

/** Writes a record batch. @param writeRecords writes its records */
export function writeBatch(writer: RecordWriter, head: BatchHead, writeRecords: () => void): void {
  const { count, firstTimestamp, maxTimestamp, attributes = 0 } = head;
  const start = writer.skip(batchHeadSize);
  writeRecords();
  const batch = writer.bytes.subarray(start);
  batch.writeBigInt64BE(0n, 0); // the broker assigns the offsets
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(0, 12);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(attributes, 21);
  batch.writeInt32BE(count - 1, 23);
  batch.writeBigInt64BE(BigInt(firstTimestamp), 27);
  batch.writeBigInt64BE(BigInt(maxTimestamp), 35);
  batch.writeBigInt64BE(noProducer, 43);
  batch.writeInt16BE(0, 51);
  batch.writeInt32BE(0, 53);
  batch.writeInt32BE(count, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(crcAt + 4)), crcAt);
}
