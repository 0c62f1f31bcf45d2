import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createRequest, produceRequest } from './produce.ts';
import type { ProduceFields } from './produce.ts';
import { RecordWriter, writeRecord } from '../record/encoder.ts';

// kafkajs's own, before anything replaces them: this file loads neither kafkajs nor the patched one.
const require = createRequire(import.meta.url);
const original = require('kafkajs/src/protocol/requests/produce/v7/request') as typeof produceRequest;
const originalCreate = require('kafkajs/src/protocol/request') as typeof createRequest;
const originalMetadata = require('kafkajs/src/protocol/requests/metadata/v6/request') as (
  fields: object,
) => Parameters<typeof createRequest>[0]['request'];

const bytes = fc.uint8Array({ maxLength: 2_000 }).map((data) => Buffer.from(data));
const text = fc.string({ unit: 'binary', maxLength: 100 });
const message = fc.record({
  key: fc.option(text),
  value: fc.option(bytes),
  headers: fc.dictionary(
    text.filter((name) => name !== '__proto__'),
    text,
    { noNullPrototype: true },
  ),
  timestamp: fc.integer({ min: 1_500_000_000_000, max: 1_999_999_999_999 }).map(String),
});
const partition = fc.record({
  partition: fc.nat({ max: 100 }),
  messages: fc.array(message, { minLength: 1, maxLength: 5 }),
});
const fields: fc.Arbitrary<ProduceFields> = fc.record({
  acks: fc.constantFrom(-1, 0, 1),
  timeout: fc.nat({ max: 60_000 }),
  topicData: fc.array(fc.record({ topic: text, partitions: fc.array(partition, { maxLength: 3 }) }), { maxLength: 3 }),
});
const clientId = fc.string({ maxLength: 700 });
const correlationId = fc.nat({ max: 2 ** 31 - 1 });

describe('a produce request', () => {
  it('is the same bytes as the one that kafkajs writes', async () => {
    await fc.assert(
      fc.asyncProperty(fields, clientId, correlationId, async (draft, client, number) => {
        const head = { clientId: client, correlationId: number };
        const request = { ...produceRequest(draft), apiVersion: 7 };
        const expected = await originalCreate({ ...head, request: original(draft) });
        assert.deepEqual((await createRequest({ ...head, request })).buffer, expected.buffer);
        assert.equal(request.expectResponse(), draft.acks !== 0);
      }),
    );
  });

  it('carries records that were encoded before', async () => {
    const plain = Array.from({ length: 3 }, (_, i) => ({
      key: 'k',
      value: Buffer.from(`v${i}`),
      timestamp: '1767225600000',
    }));
    const writer = new RecordWriter();
    for (const [offsetDelta, one] of plain.entries()) writeRecord(writer, { ...one, offsetDelta, timestampDelta: 0 });
    const encoded = {
      bytes: writer.bytes,
      count: plain.length,
      timestamp: 1_767_225_600_000,
    };
    const withMessages = (messages: ProduceFields['topicData'][0]['partitions'][0]['messages']) =>
      produceRequest({ acks: -1, timeout: 1, topicData: [{ topic: 't', partitions: [{ partition: 0, messages }] }] });
    const payloads = await Promise.all([
      withMessages([{ value: null, timestamp: '1767225600000', encoded }]).encode(),
      withMessages(plain).encode(),
    ]);
    assert.deepEqual(payloads[0]!.buffer, payloads[1]!.buffer);
  });
});

describe('a compressed produce request', () => {
  it('has the compression in the attributes of its batch, and the messages compressed', async () => {
    const messages = [{ key: 'k', value: Buffer.alloc(100_000), timestamp: '1767225600000' }];
    const topicData = [{ topic: 't', partitions: [{ partition: 0, messages }] }];
    const { buffer } = await produceRequest({ acks: -1, timeout: 1, compression: 4, topicData }).encode();
    assert.ok(buffer.length < 1_000, `${buffer.length} bytes`);
    const batchAt = 2 + 2 + 4 + 4 + 2 + 't'.length + 4 + 4 + 4;
    assert.equal(buffer.readInt16BE(batchAt + 21), 4);
  });
});

describe('the head of another request', () => {
  it('is the one that kafkajs writes', async () => {
    const request = originalMetadata({ topics: ['orders'], allowAutoTopicCreation: false });
    const head = { clientId: 'orders', correlationId: 7, request };
    assert.deepEqual((await createRequest(head)).buffer, (await originalCreate(head)).buffer);
  });
});
