import assert from 'node:assert/strict';
import { test } from 'node:test';

import { samplesOf, type Reading } from './samples.ts';
import { GreenWatch } from './watch.ts';

const outbox = {
  database: 'orders',
  service: 'orders',
  consumes: [{ group: 'projection', topics: ['order-events'], database: 'orders' }],
};

/** The false greens of half a minute, with what is read in each second. */
function falseGreens(at: (second: number) => Partial<Reading> & { high: bigint }) {
  const watch = new GreenWatch();
  for (let second = 0; second <= 30; second++) {
    const { high, ...reading } = at(second);
    const ends = new Map([['order-events', { high: new Map([[0, high]]), topicId: 'a' }]]);
    const samples = samplesOf(outbox, { shards: [], offsets: new Map(), mails: undefined, ...reading }, ends);
    watch.observe(second * 1000, new Map([['orders', second * 1000]]), samples);
  }
  return watch.falseGreens.map(({ hop }) => hop);
}
const offset = (next: number) => new Map([['projection order-events/0', { next: BigInt(next), topicId: 'a' }]]);

test('a shard that stands still is seen, though others publish to its topics', () => {
  const shards = (second: number) => [
    { shard: 0, pending: 3, position: '7/1' },
    { shard: 1, pending: 3, position: `7/${second}` },
  ];
  assert.deepEqual(
    falseGreens((second) => ({ shards: shards(second), offsets: offset(second), high: BigInt(second) })),
    ['outbox orders'],
  );
  assert.deepEqual(
    falseGreens((second) => ({ shards: shards(second).slice(1), offsets: offset(second), high: BigInt(second) })),
    [],
  );
});

test('a partition stands still by its stored offset, and of an earlier topic that is at its start', () => {
  assert.deepEqual(
    falseGreens((second) => ({ offsets: offset(5), high: BigInt(6 + second) })),
    ['projection'],
  );
  assert.deepEqual(
    falseGreens(() => ({ offsets: offset(5), high: 5n })),
    [],
  );
  const earlier = new Map([['projection order-events/0', { next: 9n, topicId: 'b' }]]);
  assert.deepEqual(
    falseGreens(() => ({ offsets: earlier, high: 5n })),
    ['projection'],
  );
});
