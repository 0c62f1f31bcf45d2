import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalUsername } from './username.ts';

/** some of which Unicode composes, and some not */
const letters = Array.from('aZ\u00eb\u1e9b\u01c6\uac00\u0958\u0323\u0307');

test('a username has one spelling', () => {
  assert.equal(canonicalUsername('Zoe\u0308'), 'Zo\u00eb');
  for (const name of [
    'ada',
    'Zo\u00eb',
    '\u674e\u5c0f\u9f99',
    '\u043e\u043b\u044f',
    'o\u2019neill',
    '\u{1f600}\u{1f600}\u{1f600}',
  ])
    assert.equal(canonicalUsername(name), name);
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...letters), minLength: 3, maxLength: 12 }), (text) => {
      const outcome = (name: string) => {
        try {
          return canonicalUsername(name);
        } catch (error) {
          return (error as Error).message;
        }
      };
      assert.equal(outcome(text.normalize('NFD')), outcome(text.normalize('NFC')));
    }),
  );
});

test('a username with characters that nobody sees is refused', () => {
  for (const hidden of [
    '\u200b',
    '\u200d',
    '\u00ad',
    '\u2060',
    '\ufeff',
    '\u202e',
    '\u061c',
    '\u3164',
    '\ufe0f',
    '\u{e0061}',
    '\u0085',
    '\u2028',
    '\u2800',
    '\u00a0',
    '\ufffa',
  ])
    assert.throws(() => canonicalUsername(`ad${hidden}a`), { status: 400 }, `U+${hidden.codePointAt(0)!.toString(16)}`);
});

test('a username has the length of its one spelling', () => {
  assert.throws(() => canonicalUsername('a\u0301e'), { status: 400 });
  assert.throws(() => canonicalUsername('\u0958'.repeat(50)), { status: 400 });
  assert.equal(canonicalUsername('\u0958'.repeat(25)).length, 50);
});
