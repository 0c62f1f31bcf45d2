import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Id } from './id.ts';
import { money } from './money.ts';
import { Recogniser } from './recogniser.ts';
import { Text } from './text.ts';
import { EventTime, Time } from './time.ts';

const schema = Type.Object({
  id: Id,
  status: Type.Enum(['NEW', 'DONE', '"']),
  amount: money(),
  ratio: Type.Optional(Type.Number({ minimum: 0.5, maximum: 100 })),
  items: Type.Array(Type.Object({ name: Type.String({ minLength: 1, maxLength: 4 }), count: Type.Integer() })),
  notes: Type.Union([Type.String(), Type.Null()]),
  code: Type.Optional(Type.String({ pattern: '^[a-z]+$' })),
  later: Type.Optional(Type.Unknown()),
  isOpen: Type.Optional(Type.Boolean()),
  at: Time,
  happened: EventTime,
  address: Text(),
});
const validator = Compile(schema);

/** The text between others, as messages lie in a fetch. */
function within(text: string) {
  const [before, own, behind] = [Buffer.from('{"id":1},"a'), Buffer.from(text), Buffer.from('","a":[2],"n":3}":}0')];
  return { bytes: Buffer.concat([before, own, behind]), start: before.length, end: before.length + own.length };
}

const usual = {
  id: 1,
  status: 'NEW',
  amount: 12.5,
  items: [{ name: 'wxyz', count: 2 }],
  notes: 'a "b"\n€',
  at: '2026-01-28T23:59:59.999Z',
  happened: '1000-01-28T23:59:59.999Z',
  address: 'Mill Lane',
};

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function learned(samples: readonly object[], of: TSchema | undefined = schema): Recogniser {
  const recogniser = new Recogniser(of);
  for (const sample of samples) recogniser.learn(sample);
  return recogniser;
}

const variants = [
  usual,
  { ...usual, notes: null, items: [], ratio: 12.25, code: 'abc', isOpen: false },
  { ...usual, later: [{ a: -1.5e-3, b: [null, true, 'x'] }], another: {} },
  Object.fromEntries(Object.entries(usual).toReversed()),
];
const recogniser = learned(variants);
const ofAnything = learned(variants, undefined);

/** What is recognised fits. */
function assertSound(changed: string): boolean {
  const isRecognised = recogniser.recognises(within(changed));
  if (isRecognised) assert.ok(validator.Check(parse(changed)), `it fits: ${changed}`);
  if (ofAnything.recognises(within(changed)))
    assert.equal(JSON.stringify(parse(changed))?.startsWith('{'), true, `it is an object: ${changed}`);
  return isRecognised;
}

describe('a recogniser', () => {
  it('recognises what it has learned, with other values', () => {
    const { code: _, ...variant } = variants[1] as { code?: string };
    const known = [
      usual,
      variants[2]!,
      variants[3]!,
      variant,
      { ...usual, notes: 'a "\\" b\n€', id: 999_999_999_999_999 },
    ];
    const own = learned(known.slice(0, 4));
    for (const one of known) {
      const written = JSON.stringify(one);
      assert.ok(own.recognises(within(written)), written);
      assert.ok(own.recognises(within(written.replaceAll(',"', ', "').replaceAll('":', '": '))), 'as Python writes it');
    }
    assert.ok(!own.recognises(within(JSON.stringify({ ...usual, isOpen: true }))), 'it has not learned this');
  });

  it('leaves to a check what does not fit', () => {
    const { id: _, ...without } = usual;
    const changes = [
      { ...usual, amount: 1e30 },
      { ...usual, amount: -5 },
      { ...usual, amount: 1.005 },
      { ...usual, id: 0 },
      { ...usual, id: 1.5 },
      { ...usual, id: [1] },
      { ...usual, status: 'OLD' },
      { ...usual, items: [{ name: '', count: 1 }] },
      { ...usual, items: [{ name: 'wxyzz', count: 1 }] },
      { ...usual, items: [{ count: 1 }] },
      { ...usual, at: '2026-02-30T00:00:00.000Z' },
      { ...usual, happened: `2026-01-01T00:00:00.${'0'.repeat(64)}Z` },
      without,
    ].map((one) => JSON.stringify(one));
    for (const one of changes) assert.ok(!assertSound(one), one);
  });

  it('does not recognise a time that is longer than it may be', () => {
    const short = Type.Object({ at: Type.String({ format: 'date-time', maxLength: 20 }) });
    const [sample, longer] = [{ at: '2026-01-01T00:00:00Z' }, { at: '2026-01-01T00:00:00.000Z' }];
    assert.ok(Compile(short).Check(sample) && !Compile(short).Check(longer));
    assert.ok(!learned([sample], short).recognises(within(JSON.stringify(longer))));
  });

  it('leaves names that repeat to JSON.parse', () => {
    const open = JSON.stringify(usual).slice(0, -1);
    for (const more of ['"id":1', '"\\u0069d":2', '"x":1,"x":2', '"x":1,"\\u0078":2']) {
      const whole = `${open},${more}}`;
      assert.ok(!learned([usual, parse(whole) as object]).recognises(within(whole)), whole);
    }
  });

  it('neither overflows the stack nor learns what is nested deeply', () => {
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
    for (const depth of [20, 4_000, 100_000]) {
      const whole = `${JSON.stringify(usual).slice(0, -1)},"x":${nested(depth)}}`;
      assert.ok(!learned([usual, parse(whole) as object]).recognises(within(whole)));
    }
  });

  it('fails in linear time', () => {
    const items = '{"x":[1]}'.concat(',{"x":[1]}'.repeat(5_000));
    const sample = parse(`{"items":[${items}],"n":"${'a'.repeat(50)}"}`) as object;
    const own = learned([sample], undefined);
    const began = performance.now();
    assert.ok(!own.recognises(within(`{"items":[${items},{"x":[1}],"n":"${'a'.repeat(10_000)}}`)));
    assert.ok(performance.now() - began < 500);
  });

  it('learns no more than some shapes', () => {
    const shapes = Array.from({ length: 300 }, (_, i) => ({ ...usual, [`later${i}`]: 1 }));
    const own = learned(shapes);
    const known = shapes.filter((one) => own.recognises(within(JSON.stringify(one))));
    assert.ok(known.length <= 8);
    assert.ok(known.includes(shapes[265]!), 'but goes on with them');
  });

  it('recognises every day of the year, and no other', () => {
    for (let month = 1; month <= 12; month++)
      for (let day = 1; day <= 31; day++) {
        const date = `2026-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
        const isDay = new Date(`${date}T00:00:00Z`).getUTCDate() === day;
        assert.equal(
          recogniser.recognises(within(JSON.stringify({ ...usual, at: `${date}T00:00:00.000Z` }))),
          isDay,
          date,
        );
      }
  });

  it('learns rarely from what it does not come to recognise', () => {
    const leapDay = { ...usual, at: '2028-02-29T00:00:00.000Z' };
    const began = process.cpuUsage();
    for (let i = 0; i < 100_000; i++) recogniser.learn(leapDay);
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < 500_000, `${(user + system) / 100_000} µs an event`);
  });

  it('recognises nothing that does not fit, whatever is changed in it', () => {
    const pieces = [
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '0',
      '9',
      '-',
      '.',
      'e',
      ' ',
      'null',
      'u',
      '\n',
      '"id":2,',
      '€',
    ];
    const change = fc.record({
      at: fc.nat(300),
      cut: fc.nat(4),
      piece: fc.oneof(fc.constantFrom('', ...pieces), fc.string({ maxLength: 2 })),
    });
    const original = fc.constantFrom(...variants.map((one) => JSON.stringify(one)));
    fc.assert(
      fc.property(original, fc.array(change, { minLength: 1, maxLength: 2 }), (text, changes) => {
        let changed = text;
        for (const { at, cut, piece } of changes) changed = changed.slice(0, at) + piece + changed.slice(at + cut);
        assertSound(changed);
      }),
      { numRuns: 5_000 },
    );
    const value = fc.oneof(
      fc.double(),
      fc.integer(),
      fc.nat({ max: 1e15 }).map((cents) => cents / 100),
      fc.jsonValue(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\0', '\ud800', '0999-01-01T00:00:00.000Z'),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    );
    const member = fc.tuple(fc.constantFrom(...Object.keys(schema.properties)), value);
    fc.assert(
      fc.property(fc.constantFrom(...variants), fc.array(member, { maxLength: 3 }), (variant, members) => {
        const data = { ...variant, ...Object.fromEntries(members) };
        assertSound(JSON.stringify(data));
        if (validator.Check(data)) assertLearns(data);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** What it learns from valid data is sound, too. */
function assertLearns(data: object): void {
  const own = learned([data]);
  const text = JSON.stringify(data);
  if (own.recognises(within(text))) assert.ok(validator.Check(parse(text)));
}
