import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { encodeHeaders } from '#platform/contract';
import { toPartitionBatches } from './partition-batches.ts';
import { RecordBatchBuilder, rawRecordEvent, recordBodies, recordBatchType } from './record-batch.ts';
import type { OutboxRow } from './rows.ts';
import { decodeRecordBatch } from './testing.ts';

const time = new Date();
const head = { topic: 'metrics', type: 'metric.updated', source: '/analytics' };
const text = fc.string({ unit: 'grapheme', maxLength: 100 });
const event = fc.record(
  {
    key: text,
    eventId: text,
    data: fc.json(),
    traceparent: fc.option(text.filter(Boolean), { nil: undefined }),
  },
  { noNullPrototype: true },
);

describe('a record batch', () => {
  it('holds events as they were, those of a key in order and under one key', () => {
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const builder = new RecordBatchBuilder(head);
        for (const one of events) builder.add(one);
        const rows = builder.finish();
        const keys = new Set(rows.map((row) => row.key));
        assert.equal(keys.size, rows.length);
        const found = rows.flatMap((row) =>
          decodeRecordBatch(row.data as Buffer).map((one) => ({ ...one, row: row.key })),
        );
        assert.equal(found.length, events.length);
        for (const key of new Set(events.map((one) => one.key))) {
          const own = found.filter((one) => one.key === key);
          assert.equal(new Set(own.map(({ row }) => row)).size, 1);
          const expected = events.filter((one) => one.key === key);
          assert.deepEqual(
            own.map(({ data, headers }) => {
              assert.ok(Date.parse(headers['ce_time']!) > 0);
              return [data, { ...headers, ce_time: time.toISOString() }];
            }),
            expected.map(({ eventId, data, traceparent }) => [
              JSON.parse(data),
              encodeHeaders({ ...head, id: eventId, subject: key, time, traceparent }),
            ]),
          );
        }
        for (const { topic, type, source, headers } of rows)
          assert.deepEqual({ topic, type, source, headers }, { ...head, headers: { 'content-type': recordBatchType } });
      }),
    );
  });

  it('of one record as it is leaves a large record in a batch of its own', () => {
    const row = (id: number, size: number) => {
      const value = Buffer.alloc(size, id);
      const { data } = rawRecordEvent(
        { ...head, key: '', eventId: String(id) },
        { key: null, value, headers: [[Buffer.from([0xff]), null]] },
      );
      return { topic: head.topic, data, created_at: time } as OutboxRow;
    };
    const rows = [row(1, 10), row(2, 5_000), row(3, 10), row(4, 20)];
    const [batches] = toPartitionBatches(rows, new Map([[head.topic, 1]]), 1_000);
    assert.deepEqual(
      batches!.batches.map(({ counts }) => [...counts.keys()].map((one) => rows.indexOf(one))),
      [[0], [1], [2, 3]],
    );
  });

  it('is followed by another one when it is full', () => {
    const builder = new RecordBatchBuilder(head);
    const data = JSON.stringify('x'.repeat(100_000));
    for (let i = 0; i < 20; i++) builder.add({ key: 'one', eventId: String(i), data });
    const rows = builder.finish();
    assert.ok(rows.length > 2 && rows.every((row) => (row.data as Buffer).length < 700_000));
    assert.deepEqual(
      rows.flatMap((row) => decodeRecordBatch(row.data as Buffer).map(({ headers }) => headers['ce_id'])),
      Array.from({ length: 20 }, (_, i) => String(i)),
    );
  });

  it('that is truncated is an error', () => {
    const builder = new RecordBatchBuilder(head);
    builder.add({ key: 'a', eventId: 'b', data: '1' });
    const data = builder.finish()[0]!.data as Buffer;
    for (let length = 1; length < data.length; length++)
      assert.throws(() => [...recordBodies(data.subarray(0, length))], { code: 'ERR_OUTBOX_PACK' });
  });
});
