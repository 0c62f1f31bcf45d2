// The record format of Kafka's log (v2), written in one pass. kafkajs makes a buffer of 512 bytes for each header and
// computes with BigInt: an event with eight headers takes it five times as long.
// https://kafka.apache.org/documentation/#record

type HeaderValue = string | Buffer | null | undefined;

/** What kafkajs gives its record encoder. */
export interface RecordFields {
  offsetDelta?: number;
  timestampDelta?: number;
  key?: string | Buffer | null;
  value: string | Buffer | null;
  headers?: Record<string, HeaderValue | HeaderValue[]>;
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

/** A record as kafkajs's batch encoder takes it. */
export function encodeRecord({ offsetDelta = 0, timestampDelta = 0, key, value, headers = {} }: RecordFields): {
  buf: Buffer;
  buffer: Buffer;
} {
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
  return { buf: buffer, buffer };
}
