import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { decodeBatches, maxDecompressedBytes, UnreadableRecords } from './batches.ts';
import type { FetchedRecords } from './batches.ts';
import { RecordWriter } from './encoder.ts';
import { batchOf, oldMessage, recordsOf } from './testing.ts';

const zstd = 4;

/** Decodes what a fetch from an offset brings. */
async function decode(records: readonly Buffer[], fetchOffset = 0n, budget = { left: maxDecompressedBytes }) {
  // bytes of others surround those of the partition
  const bytes = Buffer.concat([Buffer.alloc(7, 1), ...records, Buffer.alloc(9, 1)]);
  const range = { bytes, start: 7, end: bytes.length - 9 };
  const from = { topic: 'orders', partition: 3, records: range, fetchOffset, highWatermark: 1_000n };
  return decodeBatches(from, budget);
}

/** What was found, in words. */
const told = ({ messages, nextOffset }: FetchedRecords) => [
  ...messages.map((one) =>
    one instanceof UnreadableRecords
      ? `${one.offset}-${one.unreadable.last} ${one.unreadable.error.code}`
      : `${one.offset} ${String(one.value)}`,
  ),
  `next ${nextOffset}`,
];

/** The zeros of so many MiB as one record, compressed. */
const zeros = (mib: number) => zstdCompressSync(recordsOf(['\0'.repeat(mib * 1024 * 1024)]));

describe('batches', () => {
  it('that cannot be read cost their own offsets, and the others are read', async () => {
    const before = batchOf({ base: 0n, values: ['a', 'b'] });
    const after = batchOf({ base: 9n, values: ['c'] });
    const [longer, shorter] = [recordsOf(['x', 'y', 'z']), recordsOf(['x'])];
    const unreadable: [string, Buffer, string][] = [
      ['an unknown codec', batchOf({ base: 2n, values: ['x', 'y'], attributes: 7 }), 'ERR_KAFKA_COMPRESSION'],
      [
        'a codec whose bytes are others',
        batchOf({ base: 2n, values: ['x', 'y'], attributes: zstd }),
        'ERR_KAFKA_COMPRESSION',
      ],
      ['a bomb', batchOf({ base: 2n, payload: zeros(17), count: 2, attributes: zstd }), 'ERR_KAFKA_COMPRESSION'],
      ['a future format', batchOf({ base: 2n, values: ['x', 'y'], magic: 3 }), 'ERR_KAFKA_RECORD_FORMAT'],
      ['more records than it says', batchOf({ base: 2n, payload: longer, count: 2 }), 'ERR_KAFKA_RECORDS_CORRUPT'],
      ['fewer records', batchOf({ base: 2n, payload: shorter, count: 2 }), 'ERR_KAFKA_RECORDS_CORRUPT'],
      [
        'a negative number',
        batchOf({ base: 2n, payload: shorter, count: -1, lastOffsetDelta: 1 }),
        'ERR_KAFKA_RECORDS_CORRUPT',
      ],
      ['no records', batchOf({ base: 2n, payload: longer, count: 0, lastOffsetDelta: 1 }), 'ERR_KAFKA_RECORDS_CORRUPT'],
      [
        'offsets that do not rise',
        batchOf({ base: 2n, payload: Buffer.concat([shorter, shorter]), count: 2 }),
        'ERR_KAFKA_RECORDS_CORRUPT',
      ],
      [
        'offsets beyond its last one',
        batchOf({ base: 2n, payload: recordsOf(['x', 'y'], 1), count: 2 }),
        'ERR_KAFKA_RECORDS_CORRUPT',
      ],
    ];
    for (const [what, batch, code] of unreadable) {
      // nobody knows how far an unreadable batch really goes: up to the next one
      assert.deepEqual(
        told(await decode([before, batch, after])),
        ['0 a', '1 b', `2-8 ${code}`, '9 c', 'next 10'],
        what,
      );
      assert.deepEqual(told(await decode([batch], 2n)), [`2-3 ${code}`, 'next 4'], what);
      assert.deepEqual(told(await decode([batch], 3n)), [`3-3 ${code}`, 'next 4'], what);
    }
  });

  it('of an old format are passed together', async () => {
    const old = [oldMessage(5n, 0, ''), oldMessage(6n, 1, 'x'), oldMessage(9n, 1, 'some wrapped messages')];
    const format = 'ERR_KAFKA_RECORD_FORMAT';
    assert.deepEqual(told(await decode([...old, batchOf({ base: 10n, values: ['a'] })], 5n)), [
      `5-9 ${format}`,
      '10 a',
      'next 11',
    ]);
    assert.deepEqual(told(await decode(old.slice(0, 1), 5n)), [`5-5 ${format}`, 'next 6']);
  });

  it('that are cut off are left for the next fetch', async () => {
    const first = batchOf({ base: 0n, values: ['a'] });
    const second = batchOf({ base: 1n, values: ['b', 'c'] });
    for (let length = 0; length < second.length; length++)
      assert.deepEqual(told(await decode([first, second.subarray(0, length)])), ['0 a', 'next 1'], `${length} bytes`);
    assert.deepEqual(told(await decode([second.subarray(0, -1)], 1n)), ['next 1']);
    assert.deepEqual(told(await decode([oldMessage(0n, 1, 'x').subarray(0, -1)])), ['next 0']);
  });

  it('whose size or offsets cannot be true cost the offset that is due', async () => {
    for (const [what, size, base, delta] of [
      ['no size', 0, 1n, 0],
      ['a negative size', -13, 1n, 0],
      ['the size of an empty head', 48, 1n, 0],
      ['more than a request', 2 ** 31 - 1, 1n, 0],
      ['offsets before', undefined, 0n, 0],
      ['offsets beyond the log', undefined, 10n ** 18n, 0],
      ['a negative number of offsets', undefined, 1n, -5],
    ] as const) {
      const broken = batchOf({ base, values: ['x'], lastOffsetDelta: delta });
      if (size !== undefined) broken.writeInt32BE(size, 8);
      const found = await decode([batchOf({ values: ['a'] }), broken, batchOf({ base: 2n, values: ['b'] })]);
      assert.deepEqual(told(found), ['0 a', '1-1 ERR_KAFKA_RECORDS_CORRUPT', 'next 2'], what);
    }
  });

  it('that are empty, or whose end is compacted, are passed', async () => {
    const empty = batchOf({ base: 5n, count: 0, lastOffsetDelta: 4 });
    const compacted = batchOf({ base: 10n, values: ['a'], lastOffsetDelta: 9 });
    assert.deepEqual(told(await decode([empty], 5n)), ['next 10']);
    assert.deepEqual(told(await decode([empty, compacted], 7n)), ['10 a', 'next 20']);
  });

  it('are read from the offset that was asked for', async () => {
    assert.deepEqual(told(await decode([batchOf({ base: 4n, values: ['a', 'b', 'c'] })], 5n)), [
      '5 b',
      '6 c',
      'next 7',
    ]);
  });

  it('of two frames of zstd have the records of both', async () => {
    const payload = Buffer.concat([zstdCompressSync(recordsOf(['a'])), zstdCompressSync(recordsOf(['b'], 1))]);
    const batch = batchOf({ base: 7n, payload, count: 2, attributes: zstd });
    assert.deepEqual(told(await decode([batch], 7n)), ['7 a', '8 b', 'next 9']);
  });

  it('take no more memory than a response may, and the next fetch brings the rest', async () => {
    const payload = zeros(6);
    const bombs = Array.from({ length: 5 }, (_, i) =>
      batchOf({ base: BigInt(i), payload, count: 1, attributes: zstd }),
    );
    const budget = { left: maxDecompressedBytes };
    const first = await decode(bombs, 0n, budget);
    assert.deepEqual([first.messages.length, first.nextOffset], [2, 2n]);
    // another partition of the same response has none left, but for what is not compressed
    assert.deepEqual(told(await decode(bombs, 0n, budget)), ['next 0']);
    assert.deepEqual(told(await decode([batchOf({ values: ['a'] })], 0n, budget)), ['0 a', 'next 1']);
    const second = await decode(bombs.slice(2), 2n);
    assert.deepEqual([second.messages.length, second.nextOffset], [2, 4n]);
  });

  it('of very many records are too large as well', async () => {
    const count = maxDecompressedBytes / 64;
    const payload = zstdCompressSync(Buffer.alloc(count * 7));
    const found = await decode([batchOf({ payload, count, attributes: zstd })]);
    assert.deepEqual(told(found), [`0-${count - 1} ERR_KAFKA_COMPRESSION`, `next ${count}`]);
  });

  it('keep times of 64 bits beside each other', async () => {
    const times = [10n ** 18n, -(10n ** 18n), 1_767_225_600_000n];
    const writer = new RecordWriter();
    for (const [i, time] of times.entries()) {
      const body = Buffer.concat([
        Buffer.from([0]),
        varlong(time - 1_000n),
        varlong(BigInt(i)),
        Buffer.from([1, 1, 0]),
      ]);
      writer.copy(Buffer.concat([varlong(BigInt(body.length)), body]));
    }
    const { messages } = await decode([batchOf({ payload: Buffer.from(writer.bytes), count: 3 })]);
    assert.deepEqual(
      messages.map((one) => !(one instanceof UnreadableRecords) && one.raw().timestamp),
      times,
    );
  });
});

function varlong(number: bigint): Buffer {
  const bytes: number[] = [];
  let rest = number >= 0n ? number * 2n : -number * 2n - 1n;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

/** Batches that follow each other, with gaps where a log was compacted. */
const log = fc.array(
  fc.record({
    values: fc.array(fc.string({ maxLength: 12 }), { maxLength: 4 }),
    gap: fc.nat({ max: 3 }),
    compressed: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

function written(drafts: typeof log extends fc.Arbitrary<infer T> ? T : never) {
  let base = 0n;
  const values = new Map<bigint, string>();
  const batches = drafts.map(({ values: own, gap, compressed }) => {
    base += BigInt(gap);
    for (const [i, value] of own.entries()) values.set(base + BigInt(i), value);
    const records = recordsOf(own);
    const isCompressed = compressed && own.length > 0;
    const payload = isCompressed ? zstdCompressSync(records) : records;
    const attributes = isCompressed ? zstd : 0;
    const lastOffsetDelta = own.length; // its last record is compacted
    const batch = batchOf({ base, payload, count: own.length, attributes, lastOffsetDelta });
    base += BigInt(lastOffsetDelta) + 1n;
    return batch;
  });
  return { bytes: Buffer.concat(batches), values, end: base };
}

/** Reads a log to its end, a fetch after the other, as far as it goes on. */
async function readAll(bytes: Buffer, highWatermark: bigint) {
  const found: FetchedRecords['messages'] = [];
  let fetchOffset = 0n;
  for (let fetches = 0; fetches < 200; fetches++) {
    const records = { bytes, start: 0, end: bytes.length };
    const from = { topic: 'orders', partition: 0, records, fetchOffset, highWatermark };
    const { messages, nextOffset } = await decodeBatches(from, { left: maxDecompressedBytes });
    assert.ok(nextOffset >= fetchOffset);
    let due = fetchOffset;
    for (const { offset, ...one } of messages) {
      assert.ok(offset >= due, 'each offset once, and in order');
      due = ('unreadable' in one ? one.unreadable.last : offset) + 1n;
      assert.ok(due <= nextOffset);
    }
    found.push(...messages);
    if (nextOffset === fetchOffset || nextOffset > highWatermark) break;
    fetchOffset = nextOffset;
  }
  return found;
}

describe('any bytes', () => {
  it('are decoded without an error, in order, and never beyond their end', async () => {
    await fc.assert(
      fc.asyncProperty(
        log,
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 6 }),
        async (drafts, changes) => {
          const { bytes, end } = written(drafts);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const found = await readAll(bytes, end);
          for (const message of found) {
            if (message instanceof UnreadableRecords) continue;
            const { key, headers, valueRange } = message; // fields end within the record, or it is none
            assert.ok(key === null || key.length <= bytes.length);
            assert.ok(Object.keys(headers).length <= bytes.length);
            assert.ok(!valueRange || valueRange.end <= valueRange.bytes.length);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('of a batch that is changed where it says what it has cost no record of another one', async () => {
    const places = fc.constantFrom(8, 9, 10, 11, 16, 22, 23, 24, 25, 26, 57, 58, 59, 60);
    await fc.assert(
      fc.asyncProperty(log, fc.nat(), places, fc.nat({ max: 255 }), async (drafts, which, place, byte) => {
        const { bytes, values, end } = written(drafts);
        const starts: number[] = [];
        for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) starts.push(at);
        const index = which % starts.length;
        const start = starts[index]!;
        const own = { from: bytes.readBigInt64BE(start), to: end };
        const next = starts[index + 1];
        if (next !== undefined) own.to = bytes.readBigInt64BE(next);
        fc.pre(!(place === 22 && (byte & 7) === (bytes[start + 22]! & 7))); // other flags change what the records are
        fc.pre(place !== 22 || (byte & ~7) === 0);
        bytes[start + place] = byte;
        const found = await readAll(bytes, end);
        const read = new Map(
          found.flatMap((one) => (one instanceof UnreadableRecords ? [] : [[one.offset, String(one.value)]])),
        );
        for (const [offset, value] of read) assert.equal(value, values.get(offset), `a phantom at ${offset}`);
        for (const offset of values.keys()) {
          if (offset < own.from) assert.ok(read.has(offset), `${offset} is lost`);
          const isTold = found.some(
            (one) => one instanceof UnreadableRecords && one.offset <= offset && offset <= one.unreadable.last,
          );
          if (offset >= own.from && offset < own.to) assert.ok(read.has(offset) || isTold || isStuck(found, offset));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

/** Whether reading has not come so far: the batch seems to be cut off, or the log to begin elsewhere. */
function isStuck(found: FetchedRecords['messages'], offset: bigint): boolean {
  return found.every((one) => ('unreadable' in one ? one.unreadable.last : one.offset) < offset);
}
