import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allowedEffects, finalOutcome, Ledger, outcomeOf, type Outcome } from './ledger.ts';

test('only 4xx and 503 say that nothing was done', () => {
  const answers: [number | undefined, Outcome][] = [
    [201, 'done'],
    [204, 'done'],
    [409, 'refused'],
    [503, 'refused'],
    [500, 'unknown'],
    [502, 'unknown'],
    [504, 'unknown'],
    [undefined, 'unknown'],
  ];
  for (const [status, outcome] of answers) assert.equal(outcomeOf(status), outcome, String(status));
});

test('a request may have as many effects as its answers allow, and one with a key at most one', () => {
  const place = (outcomes: Outcome[], key?: string) => allowedEffects({ kind: 'place', mark: 'm', outcomes, key });
  assert.deepEqual(place(['refused', 'refused']), { least: 0, most: 0 });
  assert.deepEqual(place(['refused', 'done']), { least: 1, most: 1 });
  assert.deepEqual(place(['unknown']), { least: 0, most: 1 });
  assert.deepEqual(place(['unknown', 'done']), { least: 1, most: 2 });
  assert.deepEqual(place(['unknown', 'unknown', 'done'], 'key'), { least: 1, most: 1 });
});

test('one acknowledged attempt makes the request done', () => {
  const ledger = new Ledger();
  const request = ledger.open({ kind: 'place', mark: 'm', outcomes: [] as Outcome[] });
  assert.equal(finalOutcome(request), 'refused');
  request.outcomes.push('unknown');
  assert.equal(ledger.count('unknown'), 1);
  request.outcomes.push('done');
  assert.deepEqual([ledger.count('unknown'), ledger.count('done')], [0, 1]);
  assert.deepEqual([ledger.attempts('unknown'), ledger.attempts('done')], [1, 1]);
});
