import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { WrittenData } from './written.ts';

const megabyte = 1024 * 1024;

describe('data that this process has written', () => {
  it('is at hand until it is forgotten', () => {
    const data = new WrittenData();
    data.keep('a', Buffer.from('1'));
    data.keep('b', Buffer.from('2'));
    const then = data.copy();
    data.forget('a');
    data.forget('unknown');
    assert.deepEqual([...data.copy()], [['b', Buffer.from('2')]]);
    assert.deepEqual([...then.keys()], ['a', 'b']);
  });

  it('is bounded: what is oldest goes first', () => {
    const data = new WrittenData();
    const ids = Array.from({ length: 100 }, () => randomUUID());
    for (const id of ids) data.keep(id, Buffer.allocUnsafe(megabyte));
    assert.deepEqual([...data.copy().keys()], ids.slice(-24));
    data.keep('larger than all', Buffer.allocUnsafe(25 * megabyte));
    assert.deepEqual([...data.copy()], []);
    data.keep('next', Buffer.from('1'));
    assert.deepEqual([...data.copy().keys()], ['next']);
  });
});
