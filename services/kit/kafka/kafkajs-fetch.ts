import { createRequire } from 'node:module';
import type { IncomingMessage } from './port.ts';

// What a fetch brings, read in one pass over the bytes of Kafka's log (record batches of version 2). kafkajs makes a
// decoder, a buffer a header and several numbers as text for each record; here a record is its place in the fetched bytes,
// and its key and value are cut out when somebody asks.
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

class Text {
  #bytes: Uint8Array = new Uint8Array(0);
  #text = '';

  /** The text of some bytes; the same string as before where they are the same bytes. */
  of(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    const bytes = this.#bytes;
    if (length === bytes.length) {
      let i = length - 1; // ids and times differ at their end
      while (i >= 0 && bytes[i] === buffer[start + i]) i -= 1;
      if (i < 0) return this.#text;
    }
    const text = buffer.toString('utf8', start, end);
    if (length > shortText) return text;
    this.#bytes = Uint8Array.prototype.slice.call(buffer, start, end);
    this.#text = text;
    return text;
  }
}

/** Reads numbers of variable length; one for all, as nothing here waits between two reads. */
const cursor = {
  at: 0,
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

/** A message in the bytes of a fetch. The topic and the partition are those of the fetch, which its reader sets. */
export class LogMessage implements IncomingMessage {
  topic = '';
  partition = -1;
  readonly offset: bigint;
  readonly timestamp: number;
  /** for kafkajs */
  readonly batchContext: BatchContext;
  readonly #buffer: Buffer;
  readonly #keyAt: number;
  readonly #keyLength: number;
  readonly #valueAt: number;
  readonly #valueLength: number;
  #headersAt: number;
  #headers: Record<string, string> | undefined;

  /** Reads the record at the cursor, and moves the cursor behind it. */
  constructor(
    buffer: Buffer,
    batch: { firstOffset: number; firstTimestamp: number; appendTime: number | undefined; context: BatchContext },
  ) {
    const length = cursor.varint(buffer);
    const end = cursor.at + length;
    cursor.at += 1; // attributes: none are defined
    const timestampDelta = cursor.varint(buffer);
    const offsetDelta = cursor.varint(buffer);
    this.#keyLength = cursor.varint(buffer);
    this.#keyAt = cursor.at;
    if (this.#keyLength > 0) cursor.at += this.#keyLength;
    this.#valueLength = cursor.varint(buffer);
    this.#valueAt = cursor.at;
    if (this.#valueLength > 0) cursor.at += this.#valueLength;
    this.#headersAt = cursor.at;
    cursor.at = end;
    this.#buffer = buffer;
    this.offset = BigInt(batch.firstOffset + offsetDelta);
    this.timestamp = batch.appendTime ?? batch.firstTimestamp + timestampDelta;
    this.batchContext = batch.context;
  }

  /** for kafkajs */
  get isControlRecord(): boolean {
    return this.batchContext.isControlBatch;
  }

  get key(): string | null {
    return this.#keyLength < 0 ? null : this.#buffer.toString('utf8', this.#keyAt, this.#keyAt + this.#keyLength);
  }

  get value(): Buffer | null {
    return this.#valueLength < 0 ? null : this.#buffer.subarray(this.#valueAt, this.#valueAt + this.#valueLength);
  }

  /** Of a header that is repeated, the last counts; one without a value is left out. */
  get headers(): Record<string, string> {
    if (this.#headers) return this.#headers;
    const buffer = this.#buffer;
    const headers: Record<string, string> = {};
    cursor.at = this.#headersAt;
    const count = cursor.varint(buffer);
    for (let i = 0; i < count; i++) {
      const place = (layout[Math.min(i, maxLayout)] ??= { name: new Text(), value: new Text() });
      const nameLength = cursor.varint(buffer);
      const nameAt = cursor.at;
      cursor.at += nameLength;
      const valueLength = cursor.varint(buffer);
      const valueAt = cursor.at;
      if (valueLength < 0) continue;
      cursor.at += valueLength;
      headers[place.name.of(buffer, nameAt, nameAt + nameLength)] = place.value.of(
        buffer,
        valueAt,
        valueAt + valueLength,
      );
    }
    this.#headers = headers;
    return headers;
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
      throw new TypeError(`records of format ${buffer[at + magicAt]} are not supported`);
    const attributes = buffer.readInt16BE(at + 21);
    const batch = {
      firstOffset: Number(buffer.readBigInt64BE(at)),
      firstTimestamp: Number(buffer.readBigInt64BE(at + 27)),
      appendTime: attributes & appendTimeFlag ? Number(buffer.readBigInt64BE(at + 35)) : undefined,
      context: {
        producerId: String(buffer.readBigInt64BE(at + 43)),
        inTransaction: (attributes & transactionalFlag) > 0,
        isControlBatch: (attributes & controlFlag) > 0,
      },
    };
    const count = buffer.readInt32BE(at + 57);
    const codec = lookupCodecByAttributes(attributes);
    const records = codec ? await codec.decompress(buffer.subarray(at + recordsAt, next)) : buffer;
    cursor.at = codec ? 0 : at + recordsAt;
    for (let i = 0; i < count; i++) messages.push(new LogMessage(records, batch));
    at = next;
  }
  return messages;
}
