import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { FetchRequest, FetchResponse } from './fetch.ts';
import { prefetching } from './prefetch.ts';

const partitions = 3;

/** A broker with so many messages in each partition, of which a fetch brings a few of each. */
function brokerWith(ends: number[], atOnce = 2) {
  const asked: FetchRequest[] = [];
  function fetch(request: FetchRequest): Promise<FetchResponse> {
    asked.push(request);
    const responses = request.topics.map(({ topic, partitions: wanted }) => ({
      topicName: topic,
      partitions: wanted.map(({ partition, fetchOffset }) => {
        const from = Number(fetchOffset);
        const count = Math.max(0, Math.min(atOnce, ends[partition]! - from));
        const messages = { messages: [], nextOffset: BigInt(from + count) };
        return { partition, highWatermark: String(ends[partition]), abortedTransactions: null, messages };
      }),
    }));
    return Promise.resolve({ responses });
  }
  return { asked, fetch, broker: { fetch: prefetching(fetch) } };
}

function requestAt(offsets: Record<number, number>): FetchRequest {
  const wanted = Object.entries(offsets).map(([partition, offset]) => ({
    partition: Number(partition),
    fetchOffset: String(offset),
    maxBytes: 100,
  }));
  return { maxWaitTime: 500, topics: [{ topic: 'orders', partitions: wanted }] };
}

const offset = fc.nat({ max: 12 });
/** what a consumer does next: it goes on, or asks for some partitions from anywhere */
const step = fc.option(
  fc.dictionary(fc.nat({ max: partitions - 1 }).map(String), offset, { minKeys: 1, noNullPrototype: true }),
);

describe('fetching ahead', () => {
  it('gives what is asked for, wherever a consumer goes on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.tuple(offset, offset, offset), fc.array(step, { maxLength: 20 }), async (ends, steps) => {
        const { broker, fetch } = brokerWith(ends);
        let offsets: Record<number, number> = { 0: 0, 1: 0, 2: 0 };
        for (const seek of steps) {
          if (seek) offsets = seek;
          const request = requestAt(offsets);
          const response = await broker.fetch(request);
          assert.deepEqual(response, await fetch(request));
          for (const { partition, messages } of response.responses[0]!.partitions)
            offsets[partition] = Number(messages.nextOffset);
        }
      }),
    );
  });

  it('is done while there is more, and not beyond', async () => {
    const { broker, asked } = brokerWith([5, 1]);
    const offsetsAsked = () => asked.map(({ topics }) => topics[0]!.partitions.map(({ fetchOffset }) => fetchOffset));
    await broker.fetch(requestAt({ 0: 0, 1: 0 }));
    assert.deepEqual(offsetsAsked(), [
      ['0', '0'],
      ['2', '1'],
    ]);
    await broker.fetch(requestAt({ 0: 2, 1: 1 }));
    await broker.fetch(requestAt({ 0: 4, 1: 1 }));
    assert.deepEqual(offsetsAsked(), [
      ['0', '0'],
      ['2', '1'],
      ['4', '1'],
    ]);
    await broker.fetch(requestAt({ 0: 5, 1: 1 }));
    assert.deepEqual(offsetsAsked().slice(3), [['5', '1']]);
  });

  it('tells who asks that it failed, and nobody else', async () => {
    const { fetch } = brokerWith([9]);
    let calls = 0;
    const broker = {
      fetch: prefetching((request) =>
        ++calls === 2 ? Promise.reject(new Error('the leader has moved')) : fetch(request),
      ),
    };
    await broker.fetch(requestAt({ 0: 0 }));
    await assert.rejects(broker.fetch(requestAt({ 0: 2 })), /the leader has moved/);
    assert.equal((await broker.fetch(requestAt({ 0: 2 }))).responses.length, 1);
    assert.equal(calls, 4); // of which one is ahead
  });

  it('is each broker by itself', async () => {
    const { broker, asked } = brokerWith([9]);
    const other = Object.create(broker) as typeof broker;
    await broker.fetch(requestAt({ 0: 0 }));
    await other.fetch(requestAt({ 0: 2 }));
    assert.equal(asked.length, 4);
  });
});
