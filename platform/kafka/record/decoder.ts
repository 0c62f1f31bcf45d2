import { PlatformError } from '#platform/errors';
import { codecOf } from './codecs.ts';
import type { ByteRange, IncomingMessage, RawRecord, TopicPartition } from '../port.ts';

// The record format of Kafka's log (version 2), decoded lazily: one pass finds the records, and a field is decoded when it
// is read. https://kafka.apache.org/documentation/#recordbatch

/** The attributes that all records of a batch share. kafkajs needs them to leave out aborted transactions. */
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
};

/** A record batch in the bytes of a fetch. */
interface RecordBatch {
  buffer: Buffer;
  firstOffset: number;
  firstTimestamp: bigint;
  /** the time of all records, if the broker sets it */
  appendTime: bigint | undefined;
  /** for kafkajs */
  context: BatchContext;
  /** the partition that it was fetched from: the reader sets it */
  partition: TopicPartition | undefined;
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
  readonly #offsetDelta: number;
  readonly #timestampDelta: number;

  /** Reads the record at the cursor, and moves the cursor past it. */
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

  /** Sets the partition that messages were fetched from. */
  static setPartition(messages: readonly LogMessage[], partition: TopicPartition): void {
    for (const message of messages) message.#batch.partition = partition;
  }

  get topic(): string {
    return this.#batch.partition!.topic;
  }

  get partition(): number {
    return this.#batch.partition!.partition;
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

  raw(): RawRecord {
    return { ...this.fieldsIn(this.#batch.buffer), timestamp: this.#exactTime };
  }
}

/**
 * Decodes record batches; the last one may be incomplete, and is left out then.
 * @throws for the record formats before Kafka 0.11
 */
export async function decodeBatches(buffer: Buffer, start: number, end: number): Promise<LogMessage[]> {
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
      firstTimestamp: buffer.readBigInt64BE(at + 27),
      appendTime: attributes & appendTimeFlag ? buffer.readBigInt64BE(at + 35) : undefined,
      context: {
        producerId: String(buffer.readBigInt64BE(at + 43)),
        inTransaction: (attributes & transactionalFlag) > 0,
        isControlBatch: (attributes & controlFlag) > 0,
      },
      partition: undefined,
    };
    const count = buffer.readInt32BE(at + 57);
    const codec = codecOf(attributes);
    if (codec) batch.buffer = await codec.decompress(buffer.subarray(at + recordsAt, next));
    cursor.at = codec ? 0 : at + recordsAt;
    for (let i = 0; i < count; i++) messages.push(new LogMessage(batch));
    at = next;
  }
  return messages;
}
