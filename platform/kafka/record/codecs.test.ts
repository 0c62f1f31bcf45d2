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

describe('a codec', () => {
  for (const type of types) {
    it(`reads what it has written: ${type}`, async () => {
      const codec = codecNamed(type);
      await fc.assert(
        fc.asyncProperty(bytes, async (records) => {
          assert.deepEqual(await codec.decompress(await codec.compress(records)), records);
        }),
      );
    });

    it(`refuses other bytes: ${type}`, async () => {
      await assert.rejects(codecNamed(type).decompress(Buffer.from('these bytes are of no codec')), refused);
    });
  }

  it('is of the batch by its attributes', () => {
    const otherFlags = 0x38;
    assert.equal(codecOf(otherFlags), undefined);
    assert.ok(codecOf(otherFlags | 4));
    assert.throws(() => codecOf(7), refused);
  });

  it('reads Snappy in the frames of the Java client', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 4 }), async (blocks) => {
        assert.deepEqual(await codecNamed('snappy').decompress(framedSnappy(blocks)), Buffer.concat(blocks));
      }),
    );
  });

  it('refuses frames of Snappy that end too early or go back', async () => {
    const whole = framedSnappy([Buffer.alloc(100)]);
    await assert.rejects(codecNamed('snappy').decompress(whole.subarray(0, -1)), refused);
    const backwards = Buffer.from(whole);
    backwards.writeInt32BE(-4, 16);
    await assert.rejects(codecNamed('snappy').decompress(backwards), refused);
  });

  it('does not decompress a small batch into more memory than a batch may have', async () => {
    const zeros = Buffer.alloc(129 * 1024 * 1024);
    const part = zeros.subarray(0, 43 * 1024 * 1024);
    const bombs = {
      gzip: gzipSync(zeros, { level: 1 }),
      zstd: zstdCompressSync(zeros),
      lz4: compressFrameSync(zeros),
      snappy: compressSync(zeros),
    };
    for (const type of types) await assert.rejects(codecNamed(type).decompress(bombs[type]), refused, type);
    await assert.rejects(codecNamed('snappy').decompress(framedSnappy([part, part, part])), refused);
  });
});
