import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Environment } from '@marcbachmann/cel-js';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { ExpressionError, ExpressionFault, eventExpression, rowExpression } from './expression.ts';

function eventOf(data: unknown, type = 'order.created'): ReceivedEvent {
  const attributes = { id: 'order-7-1', type, source: '/orders', subject: '7', time: Date.UTC(2026, 0, 1), data };
  return { ...attributes, topic: 'order-events', partition: 0, offset: 0n, key: '7', traceparent: undefined };
}

function evaluate(source: string, data: unknown): unknown {
  return eventExpression(source).evaluate(eventOf(data));
}

/** The fault that a source is refused with, and where. */
function fault(source: string): unknown {
  try {
    eventExpression(source);
  } catch (error) {
    assert.ok(error instanceof ExpressionFault);
    return [error.message, error.offset];
  }
  return undefined;
}

function outcome(run: () => unknown): unknown {
  try {
    return { value: run() };
  } catch {
    return 'no result';
  }
}

describe('expressions over an event', () => {
  it('see its data and its attributes', () => {
    assert.equal(evaluate('data.totalAmount > 1000.0', { totalAmount: 1000.01 }), true);
    assert.equal(evaluate('string(data.userId)', { userId: 42 }), '42');
    assert.equal(evaluate('event.type == "order.created" && event.topic == "order-events"', {}), true);
    assert.equal(evaluate('event.subject + "/" + event.key', {}), '7/7');
    assert.deepEqual(evaluate('event.time', {}), new Date(Date.UTC(2026, 0, 1)));
    assert.deepEqual(
      evaluate('timestamp(data.at)', { at: '2026-01-02T03:04:05.678Z' }),
      new Date('2026-01-02T03:04:05.678Z'),
    );
    assert.equal(evaluate('event.time < timestamp("2026-01-02T00:00:00Z")', {}), true);
    assert.equal(evaluate('data.items.all(i, i.quantity > 0.0)', { items: [{ quantity: 1 }, { quantity: 2 }] }), true);
    assert.equal(evaluate('data.status in ["PENDING", "SHIPPED"]', { status: 'SHIPPED' }), true);
  });

  it('calculate with decimals, and whole numbers go with any', () => {
    const data = { unitPrice: 0.1, quantity: 3, large: 9_007_199_254_740_991 };
    assert.equal(evaluate('data.unitPrice * data.quantity', data), 0.3);
    assert.equal(evaluate('data.unitPrice + 0.2', data), 0.3);
    assert.equal(evaluate('0.3 - data.unitPrice', data), 0.2);
    assert.equal(evaluate('data.quantity * 2', data), 6);
    assert.equal(evaluate('(data.quantity + 1) * data.unitPrice > 0.4', data), false);
    assert.throws(() => evaluate('data.unitPrice * data.missing', data), ExpressionError);
    assert.throws(() => evaluate('data.unitPrice + "1"', data), ExpressionError);
  });

  it('have no result where a member is missing', () => {
    assert.throws(() => evaluate('data.userId == 1', {}), ExpressionError);
    assert.throws(() => evaluate('string(data.userId)', null), ExpressionError);
    assert.equal(evaluate('has(data.userId)', {}), false);
  });

  it('are checked when they are compiled', () => {
    assert.deepEqual(fault('dat.userId == 1'), ['Unknown variable: dat', 0]);
    assert.deepEqual(fault('data.a == event.tim'), ['No such key: tim', 16]);
    assert.deepEqual(fault('data.a =='), ['Unexpected token: EOF', 9]);
    assert.equal(eventExpression('data.a == 1').type, 'bool');
    assert.equal(eventExpression('data.a').type, 'dyn');
  });

  const scalar = fc.oneof(
    fc.constantFrom('', 'PENDING', 'order.created', '42', '2026-02-30T00:00:00Z', '2026-02-28T00:00:00.000Z'),
    fc.constantFrom(0, -0, 1, 42, 1000, 0.5, 1e21, 2 ** 53, true, false, null),
    fc.constantFrom([], [1], {}, { b: 1 }, { b: 'PENDING', length: 3 }),
  );
  const operand = fc.oneof(
    fc.constantFrom('data.a', 'data.b', 'data.a.b', 'data.b.length', 'data.missing', 'event.type', 'event.time'),
    fc.constantFrom(
      '"PENDING"',
      '""',
      '0',
      '42',
      '1000.0',
      '0.5',
      'true',
      'false',
      'string(data.a)',
      'timestamp(data.b)',
    ),
  );
  const { expression } = fc.letrec<{ expression: string; condition: string }>((tie) => ({
    expression: fc.oneof({ maxDepth: 3 }, operand, tie('condition')),
    condition: fc.oneof(
      { maxDepth: 3 },
      fc
        .tuple(operand, fc.constantFrom('==', '!=', '<', '<=', '>', '>='), operand)
        .map((parts) => `(${parts.join(' ')})`),
      fc.tuple(tie('condition'), fc.constantFrom('&&', '||'), tie('condition')).map((parts) => `(${parts.join(' ')})`),
      tie('condition').map((inner) => `!${inner}`),
      operand.map((inner) => `(${inner} in ["PENDING", "42"])`),
      fc.tuple(tie('condition'), operand, operand).map(([test, a, b]) => `(${test} ? ${a} : ${b})`),
    ),
  }));

  it('mean what CEL says, by the shortcut too', () => {
    const cel = new Environment({ unlistedVariablesAreDyn: false, homogeneousAggregateLiterals: false })
      .registerVariable('data', 'dyn')
      .registerVariable({ name: 'event', schema: { type: 'string', time: 'google.protobuf.Timestamp' } });
    fc.assert(
      fc.property(expression, fc.record({ a: scalar, b: scalar }), (source, data) => {
        const interpreted = cel.parse(source);
        if (!interpreted.check().valid) {
          assert.throws(() => eventExpression(source), ExpressionFault);
          return;
        }
        const event = eventOf(data);
        const context = { data, event: { type: event.type, time: new Date(event.time) } };
        assert.deepEqual(
          outcome(() => eventExpression(source).evaluate(event)),
          outcome(() => interpreted(context)),
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('expressions over a row', () => {
  const row = { key: '7', windowStart: 0, windowEnd: 60_000, values: { orders: 11, revenue: '90071992547409930.01' } };
  const aggregates = { orders: 'int', revenue: 'double' } as const;

  it('see the key, the window, the aggregates and the threshold', () => {
    for (const source of [
      'orders > 10',
      'orders > threshold',
      'orders / 2 == 5',
      'double(orders) / 2.0 == 5.5',
      'revenue > 1000.0',
      'key == "7"',
      'window.end - window.start == duration("60s")',
    ]) {
      assert.equal(rowExpression(source, aggregates, 10).evaluate(row), true, source);
    }
  });

  it('know no threshold where there is none', () => {
    assert.throws(() => rowExpression('orders > threshold', aggregates), /Unknown variable: threshold/);
  });
});
