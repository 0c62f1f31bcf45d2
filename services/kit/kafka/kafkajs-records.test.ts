import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { decodeRecord, encodeRecord } from './kafkajs-records.ts';
import type { BatchContext, RecordFields } from './kafkajs-records.ts';

// kafkajs's own, before anything replaces them: this file loads neither kafkajs nor the mended one.
const require = createRequire(import.meta.url);
const original = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (fields: RecordFields) => {
  buffer: Buffer;
};
const originalDecoder = require('kafkajs/src/protocol/recordBatch/record/v0/decoder.js') as typeof decodeRecord;
const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => {
  buffer: Buffer;
  readVarIntBytes(): Buffer;
};

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
const context: fc.Arbitrary<BatchContext> = fc.record({
  firstOffset: fc.nat({ max: 2 ** 31 - 1 }).map(String),
  firstTimestamp: fc.constant('1767225600000'),
  maxTimestamp: fc.constant('1767225601234'),
  timestampType: fc.constantFrom(0, 1),
  magicByte: fc.constant(2),
  isControlBatch: fc.boolean(),
});

describe('records', () => {
  it('are the same bytes as those that kafkajs writes', () => {
    fc.assert(
      fc.property(fields, (record) => {
        assert.deepEqual(encodeRecord(record).buffer, original(record).buffer);
      }),
    );
  });

  it('are read as kafkajs reads them', () => {
    fc.assert(
      fc.property(fields, context, (record, batch) => {
        const body = new Decoder(encodeRecord(record).buffer).readVarIntBytes();
        assert.deepEqual(decodeRecord(new Decoder(body), batch), originalDecoder(new Decoder(body), batch));
      }),
    );
  });
});
