import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Fault } from '#local/fault.ts';

import { parseOptions } from './options.ts';

describe('options of a comparison', () => {
  test('are a commit and a bench, and five pairs', () => {
    const { commit, script, bench, args, pairs } = parseOptions(['HEAD~3', 'orders']);
    assert.deepEqual([commit, script, args, pairs], ['HEAD~3', 'bench:orders', [], 5]);
    assert.equal(bench.figure, 'ordersPerSecond');
  });

  test('may have arguments of the bench, and a number of pairs in any position', () => {
    for (const given of [
      ['v1', 'streams', '1000', '1,2', '--pairs', '3'],
      ['--pairs=3', 'v1', 'streams', '1000', '1,2'],
    ]) {
      const { commit, script, args, pairs } = parseOptions(given);
      assert.deepEqual([commit, script, args, pairs], ['v1', 'bench:streams', ['1000', '1,2'], 3]);
    }
  });

  const refused: [string[], RegExp][] = [
    [[], /Name a commit and a bench/],
    [['HEAD'], /Name a commit and a bench/],
    [['HEAD', 'cluster'], /^"cluster" is none of orders, flow, start, streams\.$/],
    [['HEAD', 'toString'], /is none of/],
    [['HEAD', 'start', '1'], /^bench:start takes no arguments, not 1\.$/],
    [['HEAD', 'orders', '1', '2', '3'], /takes 2 arguments, not 3/],
    [['HEAD', 'orders', '0'], /^"0" is not a whole number of 1 or more\.$/],
    [['HEAD', 'orders', '1.5'], /"1\.5" is not/],
    [['HEAD', 'orders', '--pairs', '0'], /--pairs is "0"/],
    [['HEAD', 'orders', '--pairs', 'two'], /--pairs is "two"/],
    [['HEAD', 'orders', '--pair', '2'], /^Unknown option '--pair'\.$/],
    [['--all', 'orders'], /^Unknown option '--all'\.$/],
  ];
  for (const [given, message] of refused)
    test(`refuse "${given.join(' ')}" with a sentence`, () => {
      assert.throws(
        () => parseOptions(given),
        (error) => error instanceof Fault && message.test(error.message) && error.hint !== undefined,
      );
    });
});
