import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { judgeChanges } from './accepted.ts';
import { collectContracts, defineContract } from './contract.ts';
import { currentRelease, releaseBreaks } from './release.ts';

/** The changes between two contracts with one operation, whose body has one text. */
function changes(before: string, after: string): string[] {
  const release = (pattern: string) => {
    const body = Type.Object({ name: Type.Union([Type.String({ pattern }), Type.Null()]) });
    const operations = { rename: { method: 'post', path: '/names', summary: '', body, responses: {} } } as const;
    const contracts = collectContracts({ title: '', description: '' }, [defineContract('names', { operations })]);
    return currentRelease(contracts, '1.0.0');
  };
  return releaseBreaks(release(before), release(after));
}
const narrower = { at: ['operation rename: name'], change: 'changed its pattern to ^a$', reason: 'Because.' } as const;

test('a change that is declared is accepted', () => {
  assert.deepEqual(judgeChanges(changes('^a?$', '^a$'), [narrower]), {
    accepted: ['operation rename: name changed its pattern to ^a$'],
    broken: [],
    stale: [],
  });
});

test('another change in the same place is not accepted', () => {
  assert.deepEqual(judgeChanges(changes('^a?$', '^b$'), [narrower]), {
    accepted: [],
    broken: ['operation rename: name changed its pattern to ^b$'],
    stale: ['operation rename: name changed its pattern to ^a$'],
  });
});

test('what no longer changes is stale, in each place for itself', () => {
  const two = { ...narrower, at: ['operation rename: name', 'operation rename: alias'] } as const;
  assert.deepEqual(judgeChanges(changes('^a?$', '^a$'), [two]).stale, [
    'operation rename: alias changed its pattern to ^a$',
  ]);
  assert.equal(judgeChanges(changes('^a$', '^a$'), [narrower]).stale.length, 1);
});
