import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Type } from 'typebox';
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

const bounds = fc.record({
  minimum: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
  maximum: fc.option(fc.integer({ min: 3, max: 6 }), { nil: undefined }),
});
const field = fc.oneof(
  bounds.map((own) => Type.Integer(JSON.parse(JSON.stringify(own)) as { minimum?: number; maximum?: number })),
  fc.subarray(['x', 'y', 'z'], { minLength: 1 }).map((values) => Type.Enum(values)),
  fc.constant(Type.Union([Type.String(), Type.Null()])),
  fc.constant(Type.String()),
);
const eventSchema = fc
  .dictionary(fc.constantFrom('a', 'b', 'c'), fc.tuple(field, fc.boolean()), { maxKeys: 3 })
  .map((fields) =>
    Type.Object(
      Object.fromEntries(
        Object.entries(fields).map(([name, [type, isOptional]]) => [name, isOptional ? Type.Optional(type) : type]),
      ),
    ),
  );
const data = fc.dictionary(
  fc.constantFrom('a', 'b', 'c'),
  fc.constantFrom<unknown>(0, 2, 4, 6, 'x', 'y', 'z', 'other', null),
);

test('where no change of an event breaks anything, both versions accept the events of both', () => {
  fc.assert(
    fc.property(eventSchema, eventSchema, fc.array(data, { minLength: 20, maxLength: 40 }), (before, after, values) => {
      const all = breaks(toDocument(before), toDocument(after), 'event');
      fc.pre(all.length === 0);
      for (const value of values) {
        const known = Object.fromEntries(Object.entries(value).filter(([name]) => name in before.properties));
        assert.equal(Check(before, known), Check(after, known), JSON.stringify(known));
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
