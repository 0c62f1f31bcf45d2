import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import type { Result } from './figures.ts';
import { compareFigures, formatComparison, median, ratio, runOrder, type Pair } from './pairs.ts';

const figure = fc.double({ min: 0, max: 1e9, noNaN: true });
const result = (figures: Record<string, number>, checks: Record<string, boolean> = {}): Result => ({
  figures: new Map(Object.entries(figures)),
  checks: new Map(Object.entries(checks)),
});
const pair = (older: Record<string, number>, newer: Record<string, number>): Pair => ({
  old: result(older),
  new: result(newer),
});

describe('the order of runs', () => {
  test('alternates within a pair and from pair to pair', () => {
    assert.deepEqual(runOrder(3), [
      ['old', 'new'],
      ['new', 'old'],
      ['old', 'new'],
    ]);
  });

  test('gives old and new the same average position for any number of pairs', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), (count) => {
        const runs = runOrder(count).flat();
        const places = (side: string) => runs.reduce((sum, other, i) => sum + (other === side ? i : 0), 0);
        const apart = Math.abs(places('old') - places('new'));
        assert.equal(apart, count % 2); // one position if the number is odd
      }),
    );
  });
});

describe('the median', () => {
  test('is the value in the middle, or the mean of two', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([9, 1, 5, 6]), 5.5);
    assert.equal(median([Infinity, Infinity]), Infinity);
  });

  test('has as many values above as below, in any order', () => {
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1 }), (values) => {
        const middle = median(values);
        const above = values.filter((value) => value > middle).length;
        const below = values.filter((value) => value < middle).length;
        assert.ok(above <= values.length / 2 && below <= values.length / 2);
        assert.equal(median(values.toReversed()), middle);
      }),
    );
  });
});

describe('ratios', () => {
  test('are new by old, and 1 for equal values', () => {
    assert.equal(ratio(2, 3), 1.5);
    assert.equal(ratio(0, 0), 1);
    assert.equal(ratio(0, 3), Infinity);
    fc.assert(fc.property(figure, (value) => assert.equal(ratio(value, value), 1)));
  });

  test('show a change although the speed of the machine varies from pair to pair', () => {
    const machine = fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(machine, fc.double({ min: 0.5, max: 2, noNaN: true }), (speeds, change) => {
        const [row] = compareFigures(speeds.map((speed) => pair({ a: speed }, { a: speed * change })));
        assert.ok(Math.abs(row!.ratio! - change) < 1e-9);
      }),
    );
  });
});

describe('the comparison', () => {
  test('has a row for each figure, also if some runs lack it', () => {
    const pairs = [pair({ a: 2, gone: 1 }, { a: 3, added: 4 }), pair({ a: 4 }, { a: 5, added: 6 })];
    assert.deepEqual(compareFigures(pairs), [
      { name: 'a', old: 3, new: 4, ratios: [1.5, 1.25], ratio: 1.375 },
      { name: 'added', old: undefined, new: 5, ratios: [undefined, undefined], ratio: undefined },
      { name: 'gone', old: 1, new: undefined, ratios: [undefined, undefined], ratio: undefined },
    ]);
  });

  test('is a table, and names the false conditions', () => {
    const pairs: Pair[] = [
      { old: result({ p99Ms: 60, n: 1 }, { ok: true, correct: true }), new: result({ p99Ms: 90 }, { ok: false }) },
      { old: result({ p99Ms: 80 }, { ok: false, correct: true }), new: result({ p99Ms: 80 }, { ok: false }) },
    ];
    assert.equal(
      formatComparison(pairs),
      `Medians of old and new, new / old in each pair, and the median of these ratios:
       old  new  pair 1  pair 2  median ratio
p99Ms   70   85    1.50    1.00         1.250  less is better
n        1    -       -       -             -
ok: old in 1 of 2 runs, new in 0 of 2 runs`,
    );
  });
});
