import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { mutants } from './list.ts';
import { faultsOf, hasTest, mutate } from './mutant.ts';

const root = join(import.meta.dirname, '../..');

describe('the mutants', () => {
  it('have names of their own, and fit the code and the tests', () => {
    assert.deepEqual(
      mutants.flatMap((mutant) => faultsOf(root, mutant)),
      [],
    );
    assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
    for (const { name, breaks } of mutants) {
      assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.match(breaks, /^[A-Z].*[^.]$/, `${name}: a sentence without its full stop`);
    }
  });

  it('replace a text that is there once, and no other', () => {
    const mutant = { name: 'm', breaks: '', file: 'f', from: 'a + b', to: '$&a', testFile: 't', test: 't' };
    assert.equal(mutate('x(a + b)', mutant), 'x($&a)');
    for (const [text, times] of [
      ['a - b', 0],
      ['a + b; a + b', 2],
    ] as const)
      assert.throws(() => mutate(text, mutant), new RegExp(`^Error: m: the text to replace is ${times} times in f`));
  });

  it('know the names of tests, also those of templates', () => {
    const file = `it('isn\\'t', f); test("a 'b'", f); it(\n\`is \${what} \${x}: (c)\`, f); // exit('no')`;
    for (const name of [`isn't`, `a 'b'`, 'is one two: (c)']) assert.ok(hasTest(file, name), name);
    for (const name of ['no', 'is one', 'is one two: c', 'b']) assert.ok(!hasTest(file, name), name);
  });
});
