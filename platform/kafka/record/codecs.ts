import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { PlatformError } from '#platform/errors';

/** Compresses and decompresses the records of a batch. */
export interface Codec {
  compress(records: Buffer): Promise<Buffer>;
  /** @throws ERR_KAFKA_COMPRESSION for bytes that are not of this codec, or have too many when decompressed */
  decompress(compressed: Buffer): Promise<Buffer>;
}

/** The names of the codecs in Kafka's settings, at the numbers that they have in the attributes of a batch. */
export const compressionTypes = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type CompressionType = (typeof compressionTypes)[number];

const codecMask = 0x7;

/**
 * The most bytes of a decompressed batch: far more than a producer puts into one, and little enough that a batch of zeros does
 * not end the process.
 */
const maxBytes = 128 * 1024 * 1024;

// native code: a process whose topics do not need it does not load it
const lz4 = () => import('lz4-napi');
const snappy = () => import('snappy');

const unreadable = (reason: string, options?: ErrorOptions) =>
  new PlatformError('ERR_KAFKA_COMPRESSION', reason, options);
const tooLarge = (bytes: number) => unreadable(`${bytes} bytes when decompressed are more than ${maxBytes}`);

const codecs: Record<Exclude<CompressionType, 'none'>, Codec> = {
  gzip: {
    compress: promisify(gzip),
    decompress: (compressed) => promisify(gunzip)(compressed, { maxOutputLength: maxBytes }),
  },
  snappy: { compress: async (records) => (await snappy()).compress(records), decompress: decompressSnappy },
  lz4: { compress: async (records) => (await lz4()).compressFrame(records), decompress: decompressLz4 },
  zstd: {
    compress: (records) => promisify(zstdCompress)(records),
    decompress: (compressed) => promisify(zstdDecompress)(compressed, { maxOutputLength: maxBytes }),
  },
};

/** The codec of a batch by its attributes; undefined where its records are not compressed. */
export function codecOf(attributes: number): Codec | undefined {
  const number = attributes & codecMask;
  if (number === 0) return undefined;
  const name = compressionTypes[number];
  if (name === undefined || name === 'none') throw unreadable(`a record batch has the unknown compression ${number}`);
  const { compress: compressing, decompress } = codecs[name];
  return {
    compress: compressing,
    decompress: (compressed) =>
      decompress(compressed).catch((cause: Error) => {
        throw unreadable(`a record batch cannot be decompressed with ${name}: ${cause.message}`, { cause });
      }),
  };
}

/** Kafka's Java client frames Snappy as snappy-java does: this, two versions, and blocks, each after its length. */
const framed = Buffer.from('\x82SNAPPY\0', 'latin1');
const framedHead = framed.length + 8;

async function decompressSnappy(compressed: Buffer): Promise<Buffer> {
  if (!compressed.subarray(0, framed.length).equals(framed)) return uncompressBlock(compressed, 0);
  const blocks: Buffer[] = [];
  let bytes = 0;
  for (let at = framedHead; at < compressed.length;) {
    const start = at + 4;
    at = start + compressed.readInt32BE(at);
    // a negative length would go back for ever
    if (at < start || at > compressed.length) throw unreadable('a block is truncated');
    const block = await uncompressBlock(compressed.subarray(start, at), bytes);
    bytes += block.length;
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

/** @param before how many bytes the blocks before it have */
async function uncompressBlock(block: Buffer, before: number): Promise<Buffer> {
  const bytes = before + snappyLength(block);
  if (bytes > maxBytes) throw tooLarge(bytes);
  const { uncompress } = await snappy();
  return (await uncompress(block)) as Buffer;
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

async function decompressLz4(compressed: Buffer): Promise<Buffer> {
  const bytes = lz4Bound(compressed);
  if (bytes > maxBytes) throw tooLarge(bytes);
  return (await lz4()).decompressFrame(compressed);
}

const lz4Sizes: Record<number, number> = { 4: 64 * 1024, 5: 256 * 1024, 6: 1024 * 1024, 7: 4 * 1024 * 1024 };

/**
 * The most bytes that a frame of LZ4 can have when decompressed: that many blocks of the size that its head states.
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
function lz4Bound(frame: Buffer): number {
  const flags = frame.readUInt8(4);
  const blockSize = lz4Sizes[(frame.readUInt8(5) >> 4) & 7] ?? maxBytes + 1;
  const checksum = flags & 0x10 ? 4 : 0;
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
  let bytes = 0;
  while (at + 4 <= frame.length) {
    const head = frame.readUInt32LE(at);
    if (head === 0) break;
    bytes += blockSize;
    at += 4 + (head & 0x7fffffff) + checksum;
  }
  return bytes;
}
