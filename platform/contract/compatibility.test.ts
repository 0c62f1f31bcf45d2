import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Type } from 'typebox';
import type { TObject, TSchema } from 'typebox';
import { Check } from 'typebox/value';
import { breaks } from './compatibility.ts';
import { collectContracts, defineContract } from './contract.ts';
import { currentRelease, releaseBreaks } from './release.ts';
import type { Release } from './release.ts';
import { toDocument } from './schema-document.ts';

const schema = (properties: object, required: string[] = []) => ({ type: 'object', properties, required }) as never;
const text = { type: 'string' };

test('what is sent may gain a field', () => {
  assert.deepEqual(breaks(schema({ a: text }, ['a']), schema({ a: text, b: text }, ['a', 'b']), 'sent'), []);
});

test('what is sent may not lose, loosen or retype a field, nor take a new value', () => {
  const cases: [object, object, RegExp][] = [
    [schema({ a: text }), schema({}), /^a is gone/],
    [schema({ a: text }, ['a']), schema({ a: text }), /^a is no longer always there/],
    [schema({ a: text }), schema({ a: { type: 'integer' } }), /^a changed its type from "string" to "integer"/],
    [schema({ a: { enum: ['x'] } }), schema({ a: { enum: ['x', 'y'] } }), /^a takes a new value, "y"/],
    [
      schema({ a: { type: 'array', items: schema({ b: text }) } }),
      schema({ a: { type: 'array', items: schema({}) } }),
      /^a\[\]\.b is gone/,
    ],
    [schema({ a: { anyOf: [text] } }), schema({ a: { anyOf: [text, { type: 'null' }] } }), /^a may be something new/],
  ];
  for (const [before, after, expected] of cases) {
    const found = breaks(before as never, after as never, 'sent');
    assert.equal(found.length, 1, String(expected));
    assert.match(found[0]!, expected);
  }
});

test('what is received may loosen but not ask for more', () => {
  assert.deepEqual(breaks(schema({ a: { type: 'string', maxLength: 5 } }, ['a']), schema({ a: text }), 'received'), []);
  assert.match(breaks(schema({}), schema({ a: text }, ['a']), 'received')[0]!, /^a is now required/);
  assert.match(
    breaks(schema({ a: text }), schema({ a: { type: 'string', maxLength: 5 } }), 'received')[0]!,
    /narrower maxLength: 5/,
  );
  assert.match(
    breaks(schema({ a: { enum: ['x', 'y'] } }), schema({ a: { enum: ['x'] } }), 'received')[0]!,
    /does not take "y"/,
  );
});

test('an event may gain an optional field, and nothing that a reader of either version refuses', () => {
  const nullable = { anyOf: [text, { type: 'null' }] };
  assert.deepEqual(breaks(schema({ a: text }, ['a']), schema({ a: text, b: nullable }, ['a']), 'event'), []);
  const cases: [object, object, RegExp][] = [
    [schema({ a: text }), schema({ a: text, b: nullable }, ['b']), /^b is required, but older events do not have it/],
    [schema({ a: text }), schema({ a: text }, ['a']), /^a is required, but older events do not have it/],
    [schema({ a: text }, ['a']), schema({ a: text }), /^a is no longer always there/],
    [schema({ a: { enum: ['x'] } }), schema({ a: { enum: ['x', 'y'] } }), /^a takes a new value, "y"/],
    [schema({ a: { enum: ['x', 'y'] } }), schema({ a: { enum: ['x'] } }), /^a does not take "y" any more/],
    [schema({ a: { maximum: 5 } }), schema({ a: { maximum: 4 } }), /^a has a narrower maximum: 4/],
    [schema({ a: { maximum: 5 } }), schema({ a: { maximum: 6 } }), /^a has a wider maximum: 6/],
    [schema({ a: { maximum: 5 } }), schema({ a: {} }), /^a has a wider maximum: null/],
    [schema({ a: { pattern: 'a' } }), schema({ a: { pattern: 'b' } }), /^a changed its pattern to b$/],
    [schema({ a: { pattern: 'a' } }), schema({ a: {} }), /^a changed its pattern to none$/],
    [
      schema({ a: nullable }),
      schema({ a: { anyOf: [{ type: 'null' }, { type: 'string', maxLength: 5 }] } }),
      /^a has a narrower maxLength: 5$/,
    ],
    [schema({ a: nullable }), schema({ a: { anyOf: [text] } }), /^a may no longer be: .*null/],
    [
      { type: 'object', properties: { a: text } },
      { type: 'object', properties: { a: text }, additionalProperties: false },
      /no longer accepts fields/,
    ],
  ];
  for (const [before, after, expected] of cases) {
    const found = breaks(before as never, after as never, 'event');
    assert.equal(found.length, 1, `${expected}: ${found.join('; ')}`);
    assert.match(found[0]!, expected);
  }
});

test('a keyword that refuses values may come to what is sent, and go from what is received', () => {
  const anything = schema({ a: {} });
  const keywords = [
    { multipleOf: 0.01 },
    { uniqueItems: true },
    { not: text },
    { allOf: [text] },
    { oneOf: [text] },
    { exclusiveMinimum: 0 },
    { exclusiveMaximum: 9 },
    { minProperties: 1 },
    { maxProperties: 9 },
    { const: 'x' },
    { enum: ['x'] },
    { anyOf: [text, { type: 'null' }] },
  ];
  for (const keyword of keywords) {
    const narrow = schema({ a: keyword });
    const [name] = Object.keys(keyword);
    assert.deepEqual(breaks(anything, narrow, 'sent'), [], `${name} comes`);
    assert.deepEqual(breaks(narrow, anything, 'received'), [], `${name} goes`);
    assert.equal(breaks(anything, narrow, 'received').length, 1, `${name} comes to what is received`);
    assert.equal(breaks(anything, narrow, 'event').length, 1, `${name} comes to an event`);
    assert.equal(breaks(narrow, anything, 'event').length, 1, `${name} goes from an event`);
  }
});

test('a keyword that is not known here must not change, whatever it does', () => {
  const [before, after] = [schema({ a: { contains: text } }), schema({ a: { contains: { type: 'integer' } } })];
  for (const direction of ['sent', 'received', 'event'] as const) {
    assert.deepEqual(breaks(before, before, direction), []);
    assert.deepEqual(breaks(before, after, direction), ['a changed its contains to {"type":"integer"}']);
    assert.deepEqual(breaks(before, schema({ a: {} }), direction), ['a changed its contains to none']);
  }
  const described = schema({ a: { description: 'b', examples: [1], default: 2 } });
  assert.deepEqual(breaks(schema({ a: {} }), described, 'event'), []);
});

test('the values of fields by pattern, of other fields, and of a first list are compared', () => {
  const record = (value: object) => schema({ a: { type: 'object', patternProperties: { '^.*$': value } } });
  const open = (value: object) => schema({ a: { type: 'object', additionalProperties: value } });
  const rows = (items?: object) => schema({ a: { type: 'array', ...(items && { items }) } });
  const number = { type: 'number' };
  const cases: [object, object, string][] = [
    [record(number), record(text), 'a{^.*$} changed its type from "number" to "string"'],
    [open(number), open(text), 'a.* changed its type from "number" to "string"'],
    [rows(), rows(number), 'a[] changed its type from any to "number"'],
    [rows(number), rows(), 'a[] changed its type from "number" to any'],
    [
      schema({ a: { anyOf: [record(number), { type: 'null' }] } }),
      schema({ a: { anyOf: [record(text), { type: 'null' }] } }),
      'a.a{^.*$} changed its type from "number" to "string"',
    ],
  ];
  for (const [before, after, expected] of cases)
    for (const direction of ['sent', 'received', 'event'] as const)
      assert.deepEqual(breaks(before as never, after as never, direction), [expected]);
});

test('a field is new to readers that accept no other fields, or only some', () => {
  const object = (properties: object, others?: object | false) => ({
    type: 'object',
    properties,
    additionalProperties: others,
  });
  const found = (others: object | false, direction: 'event' | 'sent' | 'received') =>
    breaks(object({ a: text }, others) as never, object({ a: text, b: text }, others) as never, direction);
  for (const direction of ['event', 'sent'] as const) {
    assert.deepEqual(found(false, direction), ['b is new, but earlier readers accept no fields that they do not know']);
    assert.deepEqual(found({ type: 'number' }, direction), ['b changed its type from "number" to "string"']);
    assert.deepEqual(found(text, direction), []);
    assert.match(
      breaks(object({}, false) as never, object({}) as never, direction)[0]!,
      /^the body may have more fields, but earlier readers accept none/,
    );
  }
  assert.deepEqual(found(false, 'received'), []);
});

/** One of these, or none. */
const maybe = (...options: number[]) => fc.option(fc.constantFrom(...options), { nil: undefined });
/** The keywords of a schema, but those without a value. */
const keywords = (own: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(own).map((all) => JSON.parse(JSON.stringify(all)) as Record<string, never>);
const numbers = keywords({
  minimum: maybe(0, 1, 2, 3),
  maximum: maybe(3, 4, 5, 6),
  exclusiveMinimum: maybe(0),
  exclusiveMaximum: maybe(6),
  multipleOf: maybe(1, 2),
});
const ofRecord = fc.constantFrom(Type.Integer(), Type.Number(), Type.Union([Type.String(), Type.Null()]));
/** Kinds of fields, each with several schemas. */
const kinds: fc.Arbitrary<TSchema>[] = [
  numbers.map((own) => Type.Number(own)),
  fc.subarray(['x', 'y', 'z'], { minLength: 1 }).map((values) => Type.Enum(values)),
  fc.constantFrom('x', 'y').map((value) => Type.Literal(value)),
  fc.constantFrom(Type.Union([Type.String(), Type.Null()]), Type.String()),
  fc
    .tuple(
      fc.constantFrom({}, Type.String(), Type.Integer()),
      keywords({ uniqueItems: fc.constantFrom(true, undefined) }),
    )
    .map(([items, own]) => Type.Unsafe({ type: 'array', ...(Object.keys(items).length > 0 && { items }), ...own })),
  fc
    .tuple(ofRecord, keywords({ minProperties: maybe(1), maxProperties: maybe(1) }))
    .map(([value, own]) => Type.Record(Type.String(), value, own)),
  fc
    .tuple(fc.boolean(), fc.constantFrom(undefined, false, Type.String(), Type.Integer()))
    .map(([hasMore, others]) =>
      Type.Object(
        { k: Type.Optional(Type.Integer()), ...(hasMore && { l: Type.Optional(Type.String()) }) },
        others === undefined ? {} : { additionalProperties: others },
      ),
    ),
];
const names = ['a', 'b', 'c'] as const;
/** Two versions of a field, of one kind; undefined where a version lacks it. */
const versions = fc
  .tuple(fc.constantFrom(...kinds), fc.constantFrom('neither', 'new', 'optional', 'required'))
  .chain(([kind, presence]) => fc.tuple(kind, kind, fc.constant(presence)))
  .map(([before, after, presence]): [TSchema | undefined, TSchema | undefined] => {
    if (presence === 'neither') return [undefined, undefined];
    if (presence === 'required') return [before, after];
    return [presence === 'new' ? undefined : Type.Optional(before), Type.Optional(after)];
  });
const events = fc.tuple(versions, versions, versions).map((fields) => {
  const version = (of: 0 | 1) =>
    Type.Object(Object.fromEntries(names.flatMap((name, i) => (fields[i]![of] ? [[name, fields[i]![of]]] : []))));
  return [version(0), version(1)] as const;
});
const plain: unknown[] = [0, 1, 2, 3.5, 4, 6, 'x', 'y', 'z', 'other', null, [], ['x'], ['x', 'x'], [1, 1]];
const objects: unknown[] = [{}, { k: 1 }, { k: 'x' }, { k: 1, l: 'x' }, { l: 1 }, { m: 1, n: null }];
const data = fc.dictionary(fc.constantFrom(...names), fc.constantFrom(...plain, ...objects));

/** A value as a version writes it: without fields that it does not know, unless it has a schema for these. */
function writtenBy(version: TSchema, value: unknown): unknown {
  const { properties, additionalProperties } = version as Partial<TObject> & { additionalProperties?: unknown };
  if (properties === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name in properties || additionalProperties !== undefined)
      .map(([name, child]) => [name, name in properties ? writtenBy(properties[name]!, child) : child]),
  );
}

test('where no change of an event breaks anything, both versions accept the events of both', () => {
  fc.assert(
    fc.property(events, fc.array(data, { minLength: 20, maxLength: 40 }), ([before, after], all) => {
      fc.pre(breaks(toDocument(before), toDocument(after), 'event').length === 0);
      for (const value of all)
        for (const [writer, reader] of [
          [before, after],
          [after, before],
        ] as const) {
          const event = writtenBy(writer, value);
          if (Check(writer, event)) assert.ok(Check(reader, event), JSON.stringify(event));
        }
    }),
    { numRuns: 2_000 },
  );
});

const contracts = collectContracts({ title: 'Tests', description: '' }, [
  defineContract('orders', {
    events: {
      'order.created': { summary: '', topics: ['order-events'], schema: Type.Object({ userId: Type.Integer() }) },
    },
    operations: { createOrder: { method: 'post', path: '/orders', summary: '', responses: {} } },
  }),
]);

test('the contract fits itself, and misses what is taken out of it', () => {
  const release = currentRelease(contracts, '1.0.0');
  assert.deepEqual(releaseBreaks(release, currentRelease(contracts, '1.1.0')), []);
  const less: Release = structuredClone(release);
  delete less.events['order.created'];
  delete less.operations['createOrder'];
  assert.deepEqual(releaseBreaks(release, less), [
    'event order.created: the event is gone',
    'operation createOrder: the operation is gone',
  ]);
});

test('a field that goes from an event is named with its event', () => {
  const release = currentRelease(contracts, '1.0.0');
  const less: Release = structuredClone(release);
  const event = less.events['order.created'] as { properties: Record<string, unknown> };
  delete event.properties['userId'];
  assert.deepEqual(releaseBreaks(release, less), ['event order.created: userId is gone']);
});

test('an event keeps its source and its topics, and may come to more topics', () => {
  const release = currentRelease(contracts, '1.0.0');
  const moved = (source: string, ...topics: string[]): Release => ({
    ...release,
    origins: { 'order.created': { source, topics } },
  });
  assert.deepEqual(releaseBreaks(release, moved('/orders', 'order-events', 'all-events')), []);
  assert.deepEqual(releaseBreaks(release, moved('/shop', 'shop-events')), [
    'event order.created: is no longer in the topic order-events',
    'event order.created: changed its source from /orders to /shop',
  ]);
  const { origins: _, ...older } = release;
  assert.deepEqual(releaseBreaks(older, moved('/shop', 'shop-events')), []);
});
