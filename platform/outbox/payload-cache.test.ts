import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { PayloadCache } from './payload-cache.ts';

const megabyte = 1024 * 1024;

describe('the payload cache', () => {
  it('has data until it is deleted', () => {
    const cache = new PayloadCache();
    cache.add('a', Buffer.from('1'));
    cache.add('b', Buffer.from('2'));
    const then = cache.snapshot();
    cache.delete('a');
    cache.delete('unknown');
    assert.deepEqual([...cache.snapshot()], [['b', Buffer.from('2')]]);
    assert.deepEqual([...then.keys()], ['a', 'b']);
  });

  it('is bounded: it drops the oldest data first', () => {
    const cache = new PayloadCache();
    const ids = Array.from({ length: 100 }, () => randomUUID());
    for (const id of ids) cache.add(id, Buffer.allocUnsafe(megabyte));
    assert.deepEqual([...cache.snapshot().keys()], ids.slice(-24));
    cache.add('larger than all', Buffer.allocUnsafe(25 * megabyte));
    assert.deepEqual([...cache.snapshot()], []);
    cache.add('next', Buffer.from('1'));
    assert.deepEqual([...cache.snapshot().keys()], ['next']);
  });
});
