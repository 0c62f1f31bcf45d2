// The record format of Kafka's log (v2), written in one pass. kafkajs makes a buffer of 512 bytes for each header and
// computes with BigInt: an event with eight headers takes it five times as long.
// https://kafka.apache.org/documentation/#record

import { crc32c } from './crc32c.ts';
import type { EncodedMessages } from '../port.ts';

type HeaderValue = string | Buffer | null | undefined;

/** A message on its way to the log: as kafkajs has it, with its place in the batch. */
export interface RecordFields {
  offsetDelta?: number;
  timestampDelta?: number;
  key?: string | Buffer | null;
  value: string | Buffer | null;
  headers?: Record<string, HeaderValue | HeaderValue[]>;
  /** records that are encoded already, and all that their batch holds */
  encoded?: EncodedMessages;
}

/** The bytes of a record, or of several. */
export interface EncodedRecord {
  buffer: Buffer;
  /** how many records it is; default 1 */
  count?: number;
}

/** A signed number as varint of its zigzag form; up to 53 bits. */
const zigzag = (value: number) => (value >= 0 ? value * 2 : -value * 2 - 1);

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  let rest = zigzag(value);
  let offset = at;
  for (; rest > 127; rest = Math.floor(rest / 128)) buffer[offset++] = (rest % 128) + 128;
  buffer[offset++] = rest;
  return offset;
}

const lengthOf = (value: HeaderValue) =>
  value === null || value === undefined ? -1 : typeof value === 'string' ? Buffer.byteLength(value) : value.length;

const sizeOfBytes = (length: number) => sizeOfVarint(length) + Math.max(0, length);

function writeBytes(buffer: Buffer, at: number, value: HeaderValue, length: number): number {
  const offset = writeVarint(buffer, at, length);
  if (typeof value === 'string') buffer.write(value, offset, length);
  else if (value) buffer.set(value, offset);
  return offset + Math.max(0, length);
}

/** The bytes of a record. */
export function encodeRecord(fields: RecordFields): EncodedRecord {
  const { offsetDelta = 0, timestampDelta = 0, key, value, headers = {}, encoded } = fields;
  if (encoded) return { buffer: encoded.bytes, count: encoded.count };
  const keyLength = lengthOf(key);
  const valueLength = lengthOf(value);
  const parts: { value: HeaderValue; length: number }[] = [];
  const add = (part: HeaderValue) => parts.push({ value: part, length: lengthOf(part) });
  for (const name in headers) {
    const header = headers[name];
    for (const each of Array.isArray(header) ? header : [header]) {
      add(name);
      add(each);
    }
  }
  const size =
    1 +
    sizeOfVarint(timestampDelta) +
    sizeOfVarint(offsetDelta) +
    sizeOfBytes(keyLength) +
    sizeOfBytes(valueLength) +
    sizeOfVarint(parts.length / 2) +
    parts.reduce((sum, part) => sum + sizeOfBytes(part.length), 0);
  const buffer = Buffer.allocUnsafe(sizeOfVarint(size) + size);
  let at = writeVarint(buffer, 0, size);
  buffer[at++] = 0; // no attributes
  at = writeVarint(buffer, at, timestampDelta);
  at = writeVarint(buffer, at, offsetDelta);
  at = writeBytes(buffer, at, key, keyLength);
  at = writeBytes(buffer, at, value, valueLength);
  at = writeVarint(buffer, at, parts.length / 2);
  for (const part of parts) at = writeBytes(buffer, at, part.value, part.length);
  return { buffer };
}

/** Records that are written together, and in what span of time they were made, in milliseconds since 1970. */
export interface Batch {
  firstTimestamp: number;
  maxTimestamp: number;
  records: readonly EncodedRecord[];
}

const recordsAt = 61;
const crcAt = 17;
const noProducer = -1n;

/** How many bytes a batch takes. */
export function sizeOfBatch({ records }: Batch): number {
  return records.reduce((sum, { buffer }) => sum + buffer.length, recordsAt);
}

/** Writes a batch. @returns where it ends */
export function writeBatch(target: Buffer, start: number, { firstTimestamp, maxTimestamp, records }: Batch): number {
  const count = records.reduce((sum, record) => sum + (record.count ?? 1), 0);
  let end = start + recordsAt;
  for (const { buffer } of records) end += buffer.copy(target, end);
  const batch = target.subarray(start, end);
  batch.writeBigInt64BE(0n, 0); // the broker gives the offsets
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(0, 12);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(0, 21);
  batch.writeInt32BE(count - 1, 23);
  batch.writeBigInt64BE(BigInt(firstTimestamp), 27);
  batch.writeBigInt64BE(BigInt(maxTimestamp), 35);
  batch.writeBigInt64BE(noProducer, 43);
  batch.writeInt16BE(0, 51);
  batch.writeInt32BE(0, 53);
  batch.writeInt32BE(count, 57);
  batch.writeUInt32BE(crc32c(batch.subarray(crcAt + 4)), crcAt);
  return end;
}
