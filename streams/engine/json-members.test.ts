import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ByteRange } from '#platform/kafka';
import { parseExactly } from './exact-json.ts';
import { memberReader } from './json-members.ts';

const name = fc.oneof(fc.constantFrom('a', 'b', 'total', 'ü', '"', '\\', '', 'a\nb'), fc.string({ maxLength: 5 }));
const amount = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.nat({ max: 1e15 }).map((cents) => cents / 100),
);
const value = fc.oneof(amount, fc.jsonValue(), fc.string({ unit: 'binary' }));
const object = fc.dictionary(
  name.filter((text) => text !== '__proto__'),
  value,
  { noNullPrototype: true },
);

/** The text between others, as messages lie in a fetch. */
function rangeOf(text: string): ByteRange {
  const [before, own, behind] = [Buffer.from('{"a":1},"a'), Buffer.from(text), Buffer.from(',"a":2,"n":3}":}')];
  return { bytes: Buffer.concat([before, own, behind]), start: before.length, end: before.length + own.length };
}

describe('members of JSON', () => {
  it('are those that JSON.parse finds, whatever stands around them', () => {
    const spaces = fc.constantFrom(undefined, 1, '\t', '\r\n ');
    fc.assert(
      fc.property(object, fc.array(name, { maxLength: 4 }), spaces, (data, names, space) => {
        const text = JSON.stringify(data, undefined, space);
        const wanted = new Set(names);
        const read = memberReader(wanted)(rangeOf(text)) as Record<string, unknown>;
        const parsed = parseExactly(text) as Record<string, unknown>;
        for (const one of wanted) assert.deepEqual(read[one], parsed[one], `${one} of ${text}`);
      }),
      { numRuns: 1_000 },
    );
  });

  it('reads numbers as JSON.parse does', () => {
    const texts = [
      '0',
      '-0',
      '-1.5',
      '1e3',
      '0.1',
      '123456789012345',
      '1234567890123456',
      '0.30000000000000004',
      '9.99',
    ];
    for (const text of texts) {
      const read = memberReader(['n'])(rangeOf(`{"n":${text}}`)) as { n: number };
      assert.ok(Object.is(read.n, JSON.parse(text)), text);
    }
  });

  it('reads a whole number that a double does not hold', () => {
    for (const [text, exact] of [
      ['9007199254740991', 2 ** 53 - 1],
      ['9007199254740993', 9007199254740993n],
      ['-9007199254740993', -9007199254740993n],
      ['9007199254740993.5', 9007199254740994],
      ['1e300', 1e300],
      ['"9007199254740993"', '9007199254740993'],
    ] as const) {
      assert.deepEqual(memberReader(['n'])(rangeOf(`{"n":${text}}`)), { n: exact }, text);
      assert.deepEqual(parseExactly(`{"n":[${text}]}`), { n: [exact] }, text);
    }
  });

  it('has exact numbers wherever they stand', () => {
    const long = fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String);
    const text = fc.oneof(long, fc.constantFrom('"', '\\', '\\"', 'a: 9007199254740993'), fc.string());
    // without escapes: in V8 13.6, JSON.parse can take a name of one escaped character for another one
    const names = fc.constantFrom('a', 'b', '9007199254740993', ': 9007199254740993', '');
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        long.map((digits) => ({ digits })),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((one) => Math.abs(one) < 2 ** 53),
        text,
        fc.array(tie('tree')),
        fc.dictionary(names, tie('tree'), { noNullPrototype: true }),
      ),
    }));
    const hidden = (one: unknown): one is { digits: string } =>
      typeof one === 'object' && one !== null && 'digits' in one;
    /** the text of a tree, and what it is parsed to */
    const write = (one: unknown): [json: string, parsed: unknown] => {
      if (hidden(one))
        return [one.digits, Number.isSafeInteger(Number(one.digits)) ? Number(one.digits) : BigInt(one.digits)];
      if (Array.isArray(one)) {
        const all = one.map(write);
        return [`[${all.map(([json]) => json).join(',')}]`, all.map(([, parsed]) => parsed)];
      }
      if (typeof one !== 'object' || one === null) return [JSON.stringify(one), JSON.parse(JSON.stringify(one))];
      const all = Object.entries(one).map(([key, own]) => [key, write(own)] as const);
      const json = all.map(([key, [own]]) => `${JSON.stringify(key)}: ${own}`).join(' ,');
      return [`{${json}}`, Object.fromEntries(all.map(([key, [, parsed]]) => [key, parsed]))];
    };
    fc.assert(
      fc.property(tree, (one) => {
        const [json, parsed] = write(one);
        assert.deepEqual(parseExactly(json), parsed, json);
      }),
      { numRuns: 1_000 },
    );
  });

  it('costs little where there are many numbers', () => {
    const json = `[1234567890123456789${',0'.repeat(1_000_000)}]`;
    const before = process.cpuUsage();
    assert.equal((parseExactly(json) as unknown[])[0], 1234567890123456789n);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 1_000_000, `${(user + system) / 1_000} ms`);
  });

  it('refuses what is no JSON before they are found', () => {
    const texts = [
      '',
      '{',
      '[',
      '{"a"',
      '{"a":}',
      '{"b":1,,"a":1}',
      '{"a":01}',
      '{"a":.5}',
      '{"a":5.}',
      '{"a":tru}',
      'x',
      '{"b" 1}',
    ];
    for (const text of texts) assert.throws(() => memberReader(['a'])(rangeOf(text)), SyntaxError, text);
  });

  it('are none of a value that is no object', () => {
    for (const text of ['1', 'null', '[1]', '"a"']) {
      assert.deepEqual(memberReader(['a'])(rangeOf(text)), JSON.parse(text));
    }
  });
});
