import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { crc32c } from './crc32c.ts';

// loaded as it is: this file does not load the patched kafkajs
const original = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C/index.js') as typeof crc32c;

test('the check value of CRC-32C', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('is what kafkajs computes byte by byte', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 1_000 }), (data) => assert.equal(crc32c(data), original(data))));
});
