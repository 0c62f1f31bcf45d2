// Records of Kafka's log (version 2), written by hand for producers of very many small messages: what all of them have in
// common is written once and copied. https://kafka.apache.org/documentation/#record

const firstSize = 16 * 1024;
/** what a record more may need: 3 bytes for each character of a text are reserved */
const slack = 4 * 1024;

/** How many bytes a whole number of 0 or more takes as a signed number of variable length. */
function sizeOfVarint(value: number): number {
  if (value < 64) return 1;
  if (value < 8_192) return 2;
  if (value < 1_048_576) return 3;
  return value < 134_217_728 ? 4 : 5;
}

/** Bytes that grow at their end. */
export class RecordWriter {
  length = 0;
  #buffer: Buffer = Buffer.alloc(0);
  /** what the next buffer begins with: as much as the last one came to */
  #firstSize: number;
  readonly #usualSize: number;

  /**
   * @param expected bytes that will probably be written
   * @param usualSize bytes that are seldom exceeded: up to here a buffer grows without being doubled beyond
   */
  constructor(expected = firstSize, usualSize = Number.POSITIVE_INFINITY) {
    this.#firstSize = expected;
    this.#usualSize = usualSize;
  }

  /** What was written: a view, valid until more is written. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  /** Hands out what was written, and begins anew. */
  take(): Buffer {
    const { bytes } = this;
    this.#firstSize = Math.max(firstSize, bytes.length);
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
    return bytes;
  }

  /** @param value a whole number, 0 or more */
  varint(value: number): void {
    this.#reserve(5);
    this.length = this.#putVarint(this.length, value);
  }

  /** A text behind its length, as UTF-8. */
  text(text: string): void {
    const { length } = this;
    this.#reserve(5 + 3 * text.length);
    const guess = sizeOfVarint(text.length); // right for most, as most texts are ASCII
    const written = this.#buffer.write(text, length + guess);
    const size = sizeOfVarint(written);
    if (size !== guess) this.#buffer.copyWithin(length + size, length + guess, length + guess + written);
    this.#putVarint(length, written);
    this.length = length + size + written;
  }

  /** Bytes as they are, of a part of a buffer. */
  copy(source: Buffer, start = 0, end = source.length): void {
    this.#reserve(end - start);
    this.length += source.copy(this.#buffer, this.length, start, end);
  }

  /** Four bytes that `setUint32` fills in. @returns where they are */
  skipUint32(): number {
    this.#reserve(4);
    this.length += 4;
    return this.length - 4;
  }

  setUint32(at: number, value: number): void {
    this.#buffer.writeUInt32BE(value, at);
  }

  #putVarint(at: number, value: number): number {
    let rest = value * 2; // zigzag of a number that is not negative
    let offset = at;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#buffer[offset++] = (rest % 128) + 128;
    this.#buffer[offset++] = rest;
    return offset;
  }

  #reserve(more: number): void {
    const size = this.length + more;
    if (size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(
      Math.max(this.#firstSize, Math.min(2 * this.#buffer.length, this.#usualSize), size + slack),
    );
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}

/** Records of one partition: bodies (key, value and headers) that were written before, each behind its place. */
export class PartitionRecords {
  count = 0;
  readonly #writer: RecordWriter;

  /** @param expected bytes that will probably be added */
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
    this.#writer.varint(2 + sizeOfVarint(this.count) + end - start);
    this.#writer.varint(0); // attributes
    this.#writer.varint(0); // its time is that of the batch
    this.#writer.varint(this.count);
    this.#writer.copy(source, start, end);
    this.count += 1;
  }
}
