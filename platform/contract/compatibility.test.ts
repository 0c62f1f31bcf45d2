import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type } from 'typebox';
import { breaks } from './compatibility.ts';
import { collectContracts, defineContract } from './contract.ts';
import { currentRelease, releaseBreaks } from './release.ts';
import type { Release } from './release.ts';

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
