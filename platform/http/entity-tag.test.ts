import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entityTag, isKnown, parseIfMatch } from './entity-tag.ts';

const cases: [header: string | undefined, versions: number[] | undefined][] = [
  [undefined, undefined],
  ['*', undefined],
  ['"3"', [3]],
  ['"1", "2" ,"3"', [1, 2, 3]],
  ['W/"3"', []],
  ['3', []],
  ['"abc", "2"', [2]],
  ['"0"', []],
  ['"99999999999999999999"', []],
  ['', []],
];

for (const [header, versions] of cases) {
  test(`If-Match ${header === undefined ? 'missing' : `'${header}'`} allows ${versions?.join(' or ') ?? 'any version'}`, () => {
    assert.deepEqual(parseIfMatch(header), versions);
  });
}

test('a tag is read as its version', () => {
  assert.deepEqual(parseIfMatch(entityTag(42)), [42]);
});

test('If-None-Match names what a client has', () => {
  for (const header of ['"2"', 'W/"2"', '"1", "2"', '"1",W/"2"', '*', ' * ']) assert.ok(isKnown(header, '"2"'), header);
  for (const header of [undefined, '', '"1"', '2', '"22"', 'w/"2"']) assert.ok(!isKnown(header, '"2"'), header);
});
