import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { check } from './check.ts';
import type { Facts } from './check.ts';

const written = [1, 2, 3].map((n) => ({ id: `k-${n}`, key: 'k', n, isPoison: n === 2 }));
const logOf = (...ids: string[]) => ids.map((id, i) => ({ id, key: 'k', record: String(i), value: `value of ${id}` }));
const effectsOf = (records: Facts['effects']) => records.map(({ id, record }) => ({ id, record }));
const log = logOf('k-1', 'k-2', 'k-1', 'k-2', 'k-3'); // what a relay sends again is no fault
const poison = { id: 'k-2', record: '1', isWaiting: false, reason: 'k-2 is poison' };
const sound: Facts = {
  written,
  log,
  effects: effectsOf(log),
  letters: [poison, { id: 'k-3', record: '4', isWaiting: true, reason: 'it waits' }],
  published: [{ record: '1', value: 'value of k-2' }],
};
const kinds = (facts: Partial<Facts>) => check({ ...sound, ...facts }).map(({ kind }) => kind);

describe('the check of a schedule', () => {
  it('finds nothing where all is well', () => assert.deepEqual(kinds({}), []));

  it('finds what is lost, before the topic and after it', () => {
    const short = logOf('k-1', 'k-2');
    assert.deepEqual(kinds({ log: short, effects: effectsOf(short) }), ['lost']);
    assert.deepEqual(kinds({ effects: sound.effects.slice(0, 4) }), ['lost']);
  });

  it('expects no effect of what nobody had read when its topic was deleted', () => {
    const gone = log.map((one) => ({ ...one, isGone: true }));
    assert.deepEqual(kinds({ log: gone, effects: [] }), []);
    assert.deepEqual(kinds({ log: gone }), []);
  });

  it('finds what is doubled, or has no cause', () => {
    assert.deepEqual(kinds({ effects: [...sound.effects, sound.effects[4]!] }), ['doubled']);
    const more = logOf('k-1', 'k-2', 'k-3', 'k-4');
    assert.deepEqual(kinds({ log: more, effects: effectsOf(more) }), ['doubled']);
  });

  it('finds a key whose first copies are not in order in the log, or whose effects are not in the order of the log', () => {
    const mixed = logOf('k-1', 'k-3', 'k-2');
    const letters = { letters: [], published: [] };
    assert.deepEqual(kinds({ log: mixed, effects: effectsOf(mixed), ...letters }), ['reordered']);
    const inOrder = logOf('k-1', 'k-2', 'k-3');
    const effects = effectsOf([inOrder[1]!, inOrder[0]!, inOrder[2]!]);
    assert.deepEqual(kinds({ log: inOrder, effects, ...letters }), ['reordered']);
  });

  it('finds dead letters of events that are no poison, and are behind none', () => {
    const other = { id: 'k-1', record: '0', reason: 'so' };
    const published = [...sound.published, { record: '0', value: 'value of k-1' }];
    assert.deepEqual(kinds({ letters: [poison, { ...other, isWaiting: false }], published }), ['dead-letter']);
    const healthy = written.map((one) => ({ ...one, isPoison: false }));
    assert.deepEqual(kinds({ written: healthy, letters: [{ ...other, isWaiting: true }] }), ['dead-letter']);
  });

  it('finds a dead letter that is not in its topic, or not as it was', () => {
    assert.deepEqual(kinds({ published: [] }), ['lost']);
    assert.deepEqual(kinds({ published: [{ record: '1', value: 'another one' }] }), ['lost']);
  });
});
