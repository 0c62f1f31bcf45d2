import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { queryWatermark, idleAfterMs, lagOf } from './query-progress.ts';
import type { PartitionState } from './query-progress.ts';
import { PartitionWatermarks } from './watermarks.ts';
import type { Plan } from './plan.ts';

const now = 1_000_000;
const plan = { clock: '', query: { from: [{ topic: 't', types: undefined }] } } as unknown as Plan;

/** A partition that has been read up to `next` of `high`, whose clock stands at `watermark` since `age` milliseconds. */
function partition(id: number, watermark: number | undefined, { next = 5n, high = 5n, age = 0 } = {}): PartitionState {
  return {
    topic: 't',
    partition: id,
    offsets: { low: 0n, high },
    nextOffset: watermark === undefined ? undefined : next,
    watermarks: new Map(watermark === undefined ? [] : [['', { watermark, updatedAt: now - age }]]),
  };
}

function until(...partitions: PartitionState[]): number | undefined {
  return queryWatermark(plan, { partitions, now });
}

describe('the watermarks of a partition', () => {
  it('only go forward', () => {
    const watermarks = new PartitionWatermarks('t', 0);
    watermarks.advance('', 5);
    watermarks.advance('', 3);
    assert.equal(watermarks.of(''), 5);
    assert.equal(watermarks.of('other'), Number.NEGATIVE_INFINITY);
  });
});

describe('a stream of several partitions', () => {
  const idle = { age: idleAfterMs };

  it('is complete up to the least of their watermarks', () => {
    assert.equal(until(partition(0, 700), partition(1, 300)), 300);
  });

  it('is not held back by an idle partition, nor by one that never had an event', () => {
    assert.equal(until(partition(0, 700), partition(1, 300, idle), partition(2, undefined, { high: 0n })), 700);
  });

  it('waits for a silent partition that has not been read to its end', () => {
    assert.equal(until(partition(0, 700), partition(1, 300, { ...idle, high: 6n })), 300);
    assert.equal(until(partition(0, 700), partition(1, undefined, { high: 6n })), undefined);
  });

  it('goes on with the wall clock where every partition is idle', () => {
    assert.equal(until(partition(0, 700, idle), partition(1, 300, idle)), now - idleAfterMs);
    assert.equal(until(partition(0, now, idle)), now);
  });

  it('says nothing where nothing is known', () => {
    assert.equal(until(), undefined);
  });

  it('lags by what is not read yet, of what Kafka still has', () => {
    assert.equal(lagOf(partition(0, 1, { next: 2n })), 3);
    assert.equal(lagOf(partition(0, undefined)), 5);
    assert.equal(lagOf({ ...partition(0, 1, { next: 2n }), offsets: { low: 4n, high: 5n } }), 1);
    assert.equal(lagOf(partition(0, 1, { next: 9n })), 0);
  });
});
