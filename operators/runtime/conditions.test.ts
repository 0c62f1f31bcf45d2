import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { conditionOf, setConditions, transitions } from './conditions.ts';
import type { ConditionUpdate } from './conditions.ts';

const statement = fc.record<ConditionUpdate>({
  type: fc.constantFrom('Ready', 'Valid', 'Complete'),
  status: fc.constantFrom('True', 'False', 'Unknown'),
  reason: fc.constantFrom('A', 'B'),
  message: fc.constantFrom('', 'why'),
});
const statements = fc.uniqueArray(statement, { selector: ({ type }) => type });

describe('conditions', () => {
  it('move their time only with their status', () => {
    fc.assert(
      fc.property(statements, statements, (first, second) => {
        const before = setConditions(undefined, first, 1, 0);
        const after = setConditions(before, second, 2, 60_000);
        for (const condition of after) {
          const old = conditionOf(before, condition.type);
          const said = second.find(({ type }) => type === condition.type);
          const moved = old === undefined || (said !== undefined && said.status !== old.status);
          assert.equal(condition.lastTransitionTime, moved ? '1970-01-01T00:01:00Z' : '1970-01-01T00:00:00Z');
          assert.equal(condition.observedGeneration, said ? 2 : 1);
        }
        assert.equal(after.length, new Set([...first, ...second].map(({ type }) => type)).size);
      }),
    );
  });

  it('are the same however often the same is said', () => {
    fc.assert(
      fc.property(statements, (said) => {
        const once = setConditions(undefined, said, 1, 0);
        assert.deepEqual(setConditions(once, said, 1, 60_000), once);
        assert.deepEqual(transitions(once, once), []);
      }),
    );
  });

  it('have a transition where the status or the reason is another one', () => {
    const before = setConditions(undefined, [{ type: 'Ready', status: 'False', reason: 'A', message: '' }], 1, 0);
    const after = (status: 'True' | 'False', reason: string, message: string) =>
      setConditions(before, [{ type: 'Ready', status, reason, message }], 1, 1);
    assert.equal(transitions(before, after('False', 'A', 'more')).length, 0);
    assert.equal(transitions(before, after('False', 'B', '')).length, 1);
    assert.equal(transitions(before, after('True', 'A', '')).length, 1);
    assert.equal(transitions(undefined, before).length, 1);
  });
});
