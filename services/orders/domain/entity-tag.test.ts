import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entityTag, parseIfMatch } from './entity-tag.ts';

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
