import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalUsername } from './username.ts';

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
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const name = text.replaceAll(/[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]/gu, '');
      assert.equal(canonicalUsername(name.normalize('NFD')), canonicalUsername(name.normalize('NFC')));
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
  ])
    assert.throws(() => canonicalUsername(`ad${hidden}a`), { status: 400 }, `U+${hidden.codePointAt(0)!.toString(16)}`);
});
