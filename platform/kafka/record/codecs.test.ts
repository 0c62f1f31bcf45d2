import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { codecOf, compressionTypes } from './codecs.ts';

const types = compressionTypes.filter((type) => type !== 'none');
const codecNamed = (type: (typeof types)[number]) => codecOf(compressionTypes.indexOf(type))!;
const bytes = fc.uint8Array({ maxLength: 5_000 }).map((data) => Buffer.from(data));
const refused = { code: 'ERR_KAFKA_COMPRESSION' };

/** What snappy-java writes, whose blocks are of 32 KiB. */
function framedSnappy(blocks: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from('\x82SNAPPY\0', 'latin1'), Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])];
  for (const block of blocks) {
    const compressed = compressSync(block);
    const length = Buffer.alloc(4);
    length.writeInt32BE(compressed.length);
    parts.push(length, compressed);
  }
  return Buffer.concat(parts);
}

/** What is decompressed has no more bytes than this. */
const limit = 50_000;

describe('a codec', () => {
  for (const type of types) {
    it(`reads what it has written: ${type}`, async () => {
      const codec = codecNamed(type);
      await fc.assert(
        fc.asyncProperty(bytes, async (records) => {
          assert.deepEqual(await codec.decompress(await codec.compress(records), limit), records);
        }),
      );
    });

    it(`reads no more than the limit: ${type}`, async () => {
      const codec = codecNamed(type);
      const records = fc.uint8Array({ minLength: 2, maxLength: 5_000, max: 3 }).map((data) => Buffer.from(data));
      await fc.assert(
        fc.asyncProperty(records, fc.nat(), async (whole, random) => {
          const less = 1 + (random % (whole.length - 1));
          const compressed = await codec.compress(whole);
          assert.deepEqual(await codec.decompress(compressed, whole.length), whole);
          assert.equal(await codec.decompress(compressed, less), undefined);
        }),
      );
    });

    it(`refuses other bytes, and those that are cut off: ${type}`, async () => {
      const codec = codecNamed(type);
      await assert.rejects(codec.decompress(Buffer.from('\0 these bytes are of no codec'), limit), refused);
      const whole = await codec.compress(Buffer.from('a text that is long enough to be cut off '.repeat(50)));
      for (let cut = 1; cut < 12; cut++)
        await assert.rejects(codec.decompress(whole.subarray(0, -cut), limit), refused, `without ${cut} bytes`);
    });
  }

  it('is of the batch by its attributes', () => {
    const otherFlags = 0x38;
    assert.equal(codecOf(otherFlags), undefined);
    assert.ok(codecOf(otherFlags | 4));
    assert.throws(() => codecOf(7), refused);
  });

  for (const [type, compress] of [
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
    ['lz4', (frame: Buffer) => compressFrameSync(frame)],
    ['lz4', (frame: Buffer) => compressFrameSync(frame, { contentChecksum: true, blockChecksums: true })],
    ['snappy', (frame: Buffer) => framedSnappy([frame])],
  ] as const) {
    it(`reads all frames, where several follow each other: ${type}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 4 }), async (frames) => {
          const compressed = Buffer.concat(frames.map((frame) => compress(frame)));
          assert.deepEqual(await codecNamed(type).decompress(compressed, limit), Buffer.concat(frames));
        }),
      );
    });
  }

  it('reads Snappy in the frames of the Java client', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 4 }), async (blocks) => {
        assert.deepEqual(await codecNamed('snappy').decompress(framedSnappy(blocks), limit), Buffer.concat(blocks));
      }),
    );
  });

  it('refuses frames of Snappy that end too early or go back', async () => {
    const whole = framedSnappy([Buffer.alloc(100)]);
    await assert.rejects(codecNamed('snappy').decompress(whole.subarray(0, -1), limit), refused);
    const backwards = Buffer.from(whole);
    backwards.writeInt32BE(-4, 16);
    await assert.rejects(codecNamed('snappy').decompress(backwards, limit), refused);
  });

  it('does not decompress a small batch into more memory than it may', async () => {
    const zeros = Buffer.alloc(129 * 1024 * 1024);
    const part = zeros.subarray(0, 43 * 1024 * 1024);
    const bombs = {
      gzip: gzipSync(zeros, { level: 1 }),
      zstd: zstdCompressSync(zeros),
      lz4: compressFrameSync(zeros),
      snappy: compressSync(zeros),
    };
    for (const type of types) assert.equal(await codecNamed(type).decompress(bombs[type], limit), undefined, type);
    assert.equal(await codecNamed('snappy').decompress(framedSnappy([part, part, part]), limit), undefined);
  });
});
