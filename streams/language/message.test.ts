import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileMessage } from './message.ts';

const row = { key: '42', windowStart: 0, windowEnd: 60_000, values: { revenue: 1000.5, big: '12345678901234567.891' } };

describe('a message', () => {
  it('prints the key, the window, aggregates and the threshold', () => {
    const message = compileMessage(
      '{key}: {revenue} {revenue:2} {big:1} > {threshold} in {window.start}',
      ['revenue', 'big'],
      500,
    );
    assert.equal(message(row), '42: 1000.5 1000.50 12345678901234567.9 > 500 in 1970-01-01T00:00:00.000Z');
  });

  it('prints a text as it is, also where it looks like a number', () => {
    const message = compileMessage('{note:2}', ['note'], undefined);
    const notes = ['', ' ', '0x10', '1e200000', 'Infinity', 'NaN', '-'];
    for (const note of notes) assert.equal(message({ ...row, values: { note } }), note);
    assert.equal(message({ ...row, values: { note: '1.005' } }), '1.01');
  });

  it('may have no placeholder', () => {
    assert.equal(compileMessage('Too many', [], undefined)(row), 'Too many');
  });

  it('knows what is no placeholder', () => {
    assert.throws(() => compileMessage('{threshold}', [], undefined), /\{threshold\} names nothing here/);
    assert.throws(() => compileMessage('{}', ['a'], 1), /known are key, window\.start, window\.end, threshold, a/);
  });
});
