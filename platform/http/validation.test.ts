import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Type } from 'typebox';
import { Problem } from './problem.ts';
import { bodyValidator } from './validation.ts';

const item = Type.Object({ id: Type.Integer(), name: Type.String() }, { additionalProperties: false });
const schema = Type.Object(
  {
    items: Type.Array(item, { maxItems: 500 }),
    tags: Type.Optional(Type.Union([Type.Array(Type.String(), { maxItems: 3 }), Type.Null()])),
  },
  { additionalProperties: false },
);
const validate = bodyValidator(schema);

/** The faults of a value, and the milliseconds of processor that it took to find them. */
function refuse(value: unknown) {
  const before = process.cpuUsage();
  try {
    validate(value);
  } catch (error) {
    assert.ok(error instanceof Problem);
    const { user, system } = process.cpuUsage(before);
    return { errors: error.errors ?? [], ms: (user + system) / 1000 };
  }
  return assert.fail('it is valid');
}

describe('a body that is too long', () => {
  test('with 500,000 items is refused for their number, without a look at them', () => {
    const { errors, ms } = refuse({ items: Array<number>(500_000).fill(0) });
    assert.deepEqual(errors, [{ field: 'items', message: 'must not have more than 500 items' }]);
    assert.ok(ms < 50, `${ms} ms`);
  });

  test('with 100,000 unknown fields is refused for them, and the answer lists some', () => {
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`k${i}`, 0]));
    for (const value of [many, { items: [many] }, { items: Array(500).fill(many) }]) {
      const { errors, ms } = refuse(value);
      assert.equal(errors.length, 20);
      assert.match(errors[0]!.field, /^(items\[0\]\.)?k0$/);
      assert.ok(ms < 200, `${ms} ms`);
    }
  });

  test('in a part that may be absent is refused, too', () => {
    const { errors } = refuse({ items: [], tags: Array<number>(500_000).fill(0) });
    assert.deepEqual(errors, [{ field: 'tags', message: 'must not have more than 3 items' }]);
  });

  test('by a little names each fault', () => {
    const { errors } = refuse({ items: [{ id: 'a', name: 1, x: 1 }], y: 1 });
    assert.deepEqual(errors.map(({ field }) => field).toSorted(), ['items[0].id', 'items[0].name', 'items[0].x', 'y']);
  });
});
