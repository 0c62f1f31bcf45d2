import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RecentIds, TopicIds, hashOf, hashOfEvent, maxRepeatDistance } from './recent-ids.ts';

describe('the ids of recent events', () => {
  it('tell a repetition within the maxRepeatDistance, and forget what is far behind', () => {
    const recent = new RecentIds([hashOf('first')]);
    assert.equal(recent.add(hashOf('first')), false);
    for (let i = 1; i < maxRepeatDistance; i++) assert.equal(recent.add(hashOf(`order-${i}-1`)), true);
    assert.equal(recent.add(hashOf('order-1-1')), false);
    assert.equal(recent.add(hashOf('first')), false);
    for (let i = 0; i < 2 * maxRepeatDistance; i++) recent.add(hashOf(`user-${i}-1`));
    assert.equal(recent.add(hashOf('first')), true);
  });

  it('are those of all partitions of a topic, and belong to the one that has the event first', () => {
    const ids = new TopicIds();
    ids.set(1, [hashOf('loaded')]);
    assert.deepEqual(
      [ids.add(0, hashOf('loaded')), ids.add(0, hashOf('new')), ids.add(2, hashOf('new')), ids.add(0, hashOf('new'))],
      [false, true, false, false],
    );
    const others = new TopicIds(ids);
    others.set(0, []); // what had it is undone
    assert.deepEqual([others.add(2, hashOf('new')), others.add(2, hashOf('loaded'))], [true, false]);
    assert.equal(ids.add(2, hashOf('new')), false);
  });

  it('differ where the sources differ', () => {
    const of = (source: string, id: string) => hashOfEvent({ source, id });
    assert.equal(of('/orders', '1'), of('/orders', '1'));
    assert.notEqual(of('/orders', '1'), of('/users', '1'));
    assert.notEqual(of('/orders', '1'), of('/order', 's1'));
  });

  it('are hashed to whole numbers of 53 bits without a collision', () => {
    const hashes = new Set<number>();
    for (let order = 0; order < 50_000; order++) {
      for (const version of [1, 2, 11]) {
        const hash = hashOf(`order-${order}-${version}`);
        assert.ok(Number.isSafeInteger(hash) && hash >= 0);
        hashes.add(hash);
      }
    }
    assert.equal(hashes.size, 150_000);
  });
});
