import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { check } from './check.ts';
import type { Facts } from './check.ts';

const written = [1, 2, 3].map((n) => ({ id: `k-${n}`, key: 'k', n }));
const logOf = (...ids: string[]) => ids.map((id, offset) => ({ id, key: 'k', place: `0/${offset}` }));
const sound: Facts = {
  written,
  log: logOf('k-1', 'k-2', 'k-1', 'k-2', 'k-3'), // what a relay sends again is no fault
  effects: logOf('k-1', 'k-2', 'k-1', 'k-2', 'k-3'),
  deadLetters: [],
};
const kinds = (facts: Partial<Facts>) => check({ ...sound, ...facts }).map(({ kind }) => kind);

describe('the check of a schedule', () => {
  it('finds nothing where all is well', () => assert.deepEqual(kinds({}), []));

  it('finds what is lost, before the topic and after it', () => {
    const log = logOf('k-1', 'k-2');
    assert.deepEqual(kinds({ log, effects: log }), ['lost']);
    assert.deepEqual(kinds({ effects: sound.effects.slice(0, 4) }), ['lost']);
  });

  it('finds what is doubled, or has no cause', () => {
    assert.deepEqual(kinds({ effects: [...sound.effects, sound.effects[4]!] }), ['doubled']);
    const log = logOf('k-1', 'k-2', 'k-3', 'k-4');
    assert.deepEqual(kinds({ log, effects: log }), ['doubled']);
  });

  it('finds a key whose first copies are not in order, in the log and in the table', () => {
    const log = logOf('k-1', 'k-3', 'k-2');
    assert.deepEqual(kinds({ log, effects: log }), ['reordered', 'reordered']);
    const inOrder = logOf('k-1', 'k-2', 'k-3');
    assert.deepEqual(kinds({ log: inOrder, effects: [inOrder[1]!, inOrder[0]!, inOrder[2]!] }), ['reordered']);
  });

  it('finds dead letters', () => assert.deepEqual(kinds({ deadLetters: ['0/1 is a dead letter'] }), ['dead-letter']));
});
