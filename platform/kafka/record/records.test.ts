import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { recordBytes } from '../kafkajs/fetch.ts';
import { decodeBatches, maxDecompressedBytes } from './batches.ts';
import type { UnreadableRecords } from './batches.ts';
import { LogMessage } from './decoder.ts';
import { RecordWriter, writeRecord } from './encoder.ts';
import type { RecordFields } from './encoder.ts';

// kafkajs's own, before anything replaces them: this file loads neither kafkajs nor the patched one.
const require = createRequire(import.meta.url);
const original = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (fields: RecordFields) => {
  buffer: Buffer;
};
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<{ buffer: Buffer }>;
};
const originalDecode = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages.js') as (
  decoder: InstanceType<typeof Decoder>,
) => Promise<OriginalMessage[]>;
const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => Parameters<typeof recordBytes>[0];

/** A message as kafkajs gives it. */
interface OriginalMessage {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | null | (Buffer | null)[]>;
  isControlRecord: boolean;
  batchContext: { producerId: string; inTransaction: boolean };
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data));
const text = fc.string({ unit: 'binary', maxLength: 200 });
const single = fc.oneof(text, bytes);
const fields: fc.Arbitrary<RecordFields> = fc.record({
  offsetDelta: fc.nat({ max: 2 ** 30 }),
  timestampDelta: fc.integer({ min: -(2 ** 40), max: 2 ** 50 }),
  key: fc.oneof(text, bytes, fc.constant(null)),
  value: fc.oneof(bytes, fc.constant(null)),
  headers: fc.dictionary(
    text.filter((name) => name !== '__proto__'),
    fc.oneof(single, fc.array(single, { minLength: 1, maxLength: 3 })),
    { noNullPrototype: true },
  ),
});
const batch = fc.record({
  records: fc.array(fields, { minLength: 1, maxLength: 5 }),
  firstOffset: fc.nat({ max: 2 ** 31 - 1 }),
  timestamps: fc.constantFrom('create', 'append'),
  compression: fc.constantFrom(0, 1),
  transactional: fc.boolean(),
});

describe('records', () => {
  it('are the same bytes as those that kafkajs writes', () => {
    fc.assert(
      fc.property(fields, (record) => {
        assert.deepEqual(encodeRecord(record), original(record).buffer);
      }),
    );
  });

  it('are read as kafkajs reads them, several batches in a row and the last one cut off', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 4 }), fc.nat({ max: 100 }), async (drafts, cut) => {
        const batches = drafts.toSorted((a, b) => a.firstOffset - b.firstOffset);
        fc.pre(batches.every(({ firstOffset }, i) => i === 0 || firstOffset - batches[i - 1]!.firstOffset >= 5));
        const encoded = await Promise.all(batches.map(encode));
        const whole = Buffer.concat(encoded);
        const bytesOf = whole.subarray(0, Math.max(0, whole.length - cut));
        const answer = Buffer.concat([Buffer.alloc(4), bytesOf, Buffer.from('behind')]);
        answer.writeInt32BE(bytesOf.length);
        // kafkajs fails where not even the format can be read
        const expected = bytesOf.length > 16 ? await originalDecode(new Decoder(answer)) : [];
        const decoder = new Decoder(answer);
        const records = recordBytes(decoder);
        assert.equal(decoder.offset, 4 + bytesOf.length);
        const from = { topic: 't', partition: 0, records, fetchOffset: 0n, highWatermark: 2n ** 31n };
        const { messages } = await decodeBatches(from, { left: maxDecompressedBytes });
        assert.deepEqual(messages.map(plain), expected.map(plainOriginal));
      }),
    );
  });
});

function encodeRecord(record: RecordFields): Buffer {
  const writer = new RecordWriter();
  writeRecord(writer, record);
  return writer.bytes;
}

async function encode({ records, firstOffset, timestamps, compression, transactional }: BatchDraft): Promise<Buffer> {
  const { buffer } = await encodeBatch({
    firstTimestamp: 1_767_225_600_000,
    maxTimestamp: 1_767_225_601_234,
    producerId: 7,
    lastOffsetDelta: records.length - 1,
    compression,
    transactional,
    records: records.map((record, i) => {
      const buf = encodeRecord({ ...record, offsetDelta: i });
      return { buf, buffer: buf };
    }),
  });
  buffer.writeBigInt64BE(BigInt(firstOffset), 0);
  if (timestamps === 'append') buffer.writeInt16BE(buffer.readInt16BE(21) | 0x8, 21);
  return buffer;
}

type BatchDraft = typeof batch extends fc.Arbitrary<infer T> ? T : never;

function plain(message: LogMessage | UnreadableRecords) {
  assert.ok(message instanceof LogMessage, 'it can be read');
  const { offset, timestamp, key, value, headers, isControlRecord, batchContext } = message;
  const { producerId, inTransaction } = batchContext;
  return {
    offset: String(offset),
    timestamp: String(timestamp),
    key,
    value,
    headers,
    isControlRecord,
    producerId,
    inTransaction,
  };
}

/** What our reader says of a message of kafkajs: text for keys and headers, the last of repeated ones. */
function plainOriginal(message: OriginalMessage): ReturnType<typeof plain> {
  const { offset, timestamp, key, value, isControlRecord, batchContext } = message;
  const { producerId, inTransaction } = batchContext;
  const headers: Record<string, string> = {};
  for (const [name, header] of Object.entries(message.headers)) {
    const last = (Array.isArray(header) ? header : [header]).findLast((one) => one !== null);
    if (last) headers[name] = last.toString();
  }
  return { offset, timestamp, key: key && key.toString(), value, headers, isControlRecord, producerId, inTransaction };
}
