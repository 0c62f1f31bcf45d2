import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import type { ZstdDecompress, ZstdOptions } from 'node:zlib';
import { PlatformError } from '#platform/errors';

/** Compresses and decompresses the records of a batch. */
export interface Codec {
  compress(records: Buffer): Promise<Buffer>;
  /**
   * @returns undefined where that has more than `limit` bytes; it does not take more memory to find out
   * @throws ERR_KAFKA_COMPRESSION for bytes that are not of this codec; another error where the process cannot use the codec
   */
  decompress(compressed: Buffer, limit: number): Promise<Buffer | undefined>;
}

/** The names of the codecs in Kafka's settings, at the numbers that they have in the attributes of a batch. */
export const compressionTypes = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type CompressionType = (typeof compressionTypes)[number];

const codecMask = 0x7;

// native code: a process whose topics do not need it does not load it
const lz4 = () => import('lz4-napi');
const snappy = () => import('snappy');

const unreadable = (reason: string, options?: ErrorOptions) =>
  new PlatformError('ERR_KAFKA_COMPRESSION', reason, options);

/** What is decompressed; undefined where it is too large. @throws ERR_KAFKA_COMPRESSION for all but a lack of memory */
async function decompressed(name: CompressionType, result: Promise<Buffer | undefined>): Promise<Buffer | undefined> {
  try {
    return await result;
  } catch (cause) {
    const { code = '', message } = cause as { code?: string; message: string };
    if (code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    if (/memory/i.test(code) || code === 'Z_MEM_ERROR') throw cause;
    const reason = code.includes('OUT_OF') ? 'it is truncated' : message; // Node's codes of a read past the end
    throw unreadable(`a record batch cannot be decompressed with ${name}: ${reason}`, { cause });
  }
}

const codecs: Record<Exclude<CompressionType, 'none'>, Codec> = {
  gzip: {
    compress: promisify(gzip),
    decompress: (compressed, limit) =>
      decompressed('gzip', promisify(gunzip)(compressed, { maxOutputLength: Math.max(1, limit) })),
  },
  snappy: {
    compress: async (records) => (await snappy()).compress(records),
    decompress: async (compressed, limit) => {
      const { uncompress } = await snappy();
      const blocks = decompressParts(snappyBlocks(compressed), limit, (block) => uncompress(block) as Promise<Buffer>);
      return decompressed('snappy', blocks);
    },
  },
  lz4: {
    compress: async (records) => (await lz4()).compressFrame(records),
    decompress: async (compressed, limit) => {
      const { decompressFrame } = await lz4();
      return decompressed('lz4', decompressParts(lz4Frames(compressed), limit, decompressFrame));
    },
  },
  zstd: {
    compress: (records) => promisify(zstdCompress)(records),
    decompress: (compressed, limit) => decompressed('zstd', decompressZstd(compressed, limit)),
  },
};

/** The codec of a batch by its attributes; undefined where its records are not compressed. @throws ERR_KAFKA_COMPRESSION */
export function codecOf(attributes: number): Codec | undefined {
  const number = attributes & codecMask;
  if (number === 0) return undefined;
  const name = compressionTypes[number];
  if (name === undefined || name === 'none') throw unreadable(`a record batch has the unknown compression ${number}`);
  return codecs[name];
}

/** Compressed bytes, and how many they are when decompressed. */
interface Part {
  bytes: Buffer;
  length: number;
}

async function decompressParts(
  parts: Iterable<Part>,
  limit: number,
  decompress: (compressed: Buffer) => Promise<Buffer>,
): Promise<Buffer | undefined> {
  const whole: Buffer[] = [];
  let length = 0;
  for (const part of parts) {
    length += part.length;
    if (length > limit) return undefined;
    whole.push(await decompress(part.bytes));
  }
  return Buffer.concat(whole);
}

/** Kafka's Java client frames Snappy as snappy-java does: this, two versions, and blocks, each after its length. */
const framed = Buffer.from('\x82SNAPPY\0', 'latin1');
const framedHead = framed.length + 8;
const isFramed = (compressed: Buffer, at: number) => compressed.subarray(at, at + framed.length).equals(framed);

function* snappyBlocks(compressed: Buffer): Iterable<Part> {
  if (!isFramed(compressed, 0)) return yield { bytes: compressed, length: snappyLength(compressed) };
  for (let at = 0; at < compressed.length;) {
    if (isFramed(compressed, at)) {
      at += framedHead; // several frames can follow each other
      continue;
    }
    const start = at + 4;
    at = start + compressed.readInt32BE(at);
    // a negative length would go back for ever
    if (at < start || at > compressed.length) throw unreadable('a block is truncated');
    const bytes = compressed.subarray(start, at);
    yield { bytes, length: snappyLength(bytes) };
  }
}

/** The length that a block of Snappy states: an unsigned varint. https://github.com/google/snappy/blob/main/format_description.txt */
function snappyLength(block: Buffer): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i] ?? 0;
    length += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) break;
  }
  return length;
}

const lz4Magic = 0x184d2204;

/** The frames of LZ4, of which the library reads one. https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md */
function* lz4Frames(compressed: Buffer): Iterable<Part> {
  for (let at = 0; at < compressed.length;) {
    const start = at;
    if (compressed.readUInt32LE(at) !== lz4Magic) throw unreadable('a frame does not begin as one');
    const flags = compressed.readUInt8(at + 4);
    const checksum = flags & 0x10 ? 4 : 0;
    at += 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
    let length = 0;
    for (let head = compressed.readUInt32LE(at); head !== 0; head = compressed.readUInt32LE(at)) {
      const end = at + 4 + (head & 0x7fffffff);
      length += head >>> 31 ? end - at - 4 : lz4Length(compressed, at + 4, end);
      at = end + checksum;
    }
    at += 4 + (flags & 0x04 ? 4 : 0);
    yield { bytes: compressed.subarray(start, at), length };
  }
}

/** The length of a block of LZ4 when decompressed. https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function lz4Length(bytes: Buffer, start: number, end: number): number {
  let at = start;
  const lengthOf = (nibble: number) => {
    let length = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255 && at < end;) length += byte = bytes[at++]!;
    return length;
  };
  let length = 0;
  while (at < end) {
    const token = bytes[at++]!;
    const literals = lengthOf(token >> 4);
    at += literals;
    length += literals;
    if (at >= end) break; // the last sequence has literals alone
    at += 2;
    length += lengthOf(token & 15) + 4;
  }
  return length;
}

type UnzstdFrame = (
  compressed: Buffer,
  options: ZstdOptions,
) => Promise<{ buffer: Buffer; engine: Pick<ZstdDecompress, 'bytesWritten'> }>;
const unzstdFrame = promisify(zstdDecompress) as unknown as UnzstdFrame;

/** Node decompresses the first frame, and says how long that is. */
async function decompressZstd(compressed: Buffer, limit: number): Promise<Buffer | undefined> {
  const frames: Buffer[] = [];
  let left = limit;
  for (let at = 0; at < compressed.length;) {
    if (left < 1) return undefined;
    const options = { maxOutputLength: left, info: true };
    const { buffer, engine } = await unzstdFrame(compressed.subarray(at), options);
    if (engine.bytesWritten < 1) throw unreadable('a frame is empty');
    frames.push(buffer);
    left -= buffer.length;
    at += engine.bytesWritten;
  }
  return Buffer.concat(frames);
}
