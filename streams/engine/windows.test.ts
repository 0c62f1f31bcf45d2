import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOver, latestStart } from './windows.ts';

describe('windows', () => {
  it('are aligned to 1970 and hold their start, not their end', () => {
    assert.equal(latestStart({ size: 60, advance: 60 }, 119), 60);
    assert.equal(latestStart({ size: 60, advance: 60 }, 120), 120);
    assert.equal(latestStart({ size: 60, advance: 20 }, 119), 100);
  });

  it('are over when the stream has passed their end and grace', () => {
    assert.equal(isOver({ size: 60, grace: 10 }, 0, 69), false);
    assert.equal(isOver({ size: 60, grace: 10 }, 0, 70), true);
  });
});
