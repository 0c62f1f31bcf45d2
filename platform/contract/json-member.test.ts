import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { memberText } from './json-member.ts';

describe('the text of a member', () => {
  it('is that which JSON.parse reads, whatever stands around it', () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom('"', '\\', '\\"', '{', ',"data":1}'));
    const spaces = fc.constantFrom(undefined, 1, '\t', '\r\n '.trimEnd());
    fc.assert(
      fc.property(value, value, value, spaces, (before, data, behind, indent) => {
        const json = JSON.stringify({ 'a"': before, data, dat: behind, nested: { data: behind } }, undefined, indent);
        assert.deepEqual(JSON.parse(memberText(json, 'data')!), JSON.parse(JSON.stringify(data)), json);
      }),
      { numRuns: 1_000 },
    );
  });

  it('has each digit, and is that of the last member of its name', () => {
    const json = ' {"data" : 1, "id":"x","d\\u0061ta":\n{ "n": [1.10, -9007199254740993e0] }\t, "z":[]} ';
    assert.equal(memberText(json, 'data'), '{ "n": [1.10, -9007199254740993e0] }');
    assert.equal(memberText('{"n":12345678901234567890}', 'n'), '12345678901234567890');
  });

  it('is none where there is none', () => {
    assert.equal(memberText('{}', 'data'), undefined);
    assert.equal(memberText('{ "a": {"data": 1} }', 'data'), undefined);
  });
});
