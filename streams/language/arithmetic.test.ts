import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { ExpressionError, eventExpression, rowExpression } from './expression.ts';

function evaluate(source: string, data: unknown): unknown {
  const attributes = { id: '1', type: 'order.created', source: '/orders', subject: '7', time: 0, data };
  const event: ReceivedEvent = {
    ...attributes,
    topic: 't',
    partition: 0,
    offset: 0n,
    key: '7',
    traceparent: undefined,
  };
  return eventExpression(source).evaluate(event);
}

/** An exact number of the plain calculation, in units of 10^-24. */
type Units = bigint;
const one: Units = 10n ** 24n;

const unitsOf = (text: string): Units => {
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)!;
  return BigInt(`${sign}${whole}${fraction.padEnd(24, '0')}`);
};

/** The JSON number that says it. */
const numberOf = (units: Units): number => {
  const digits = String(units < 0n ? -units : units).padStart(25, '0');
  return Number(`${units < 0n ? '-' : ''}${digits.slice(0, -24)}.${digits.slice(-24)}`);
};

const plainly = {
  '+': (a: Units, b: Units) => a + b,
  '-': (a: Units, b: Units) => a - b,
  '*': (a: Units, b: Units) => (a * b) / one,
  '/': (a: Units, b: Units) => (a * one) / b,
};

interface Case {
  source: string;
  exact: Units;
}

const data = {
  price: 0.1,
  cost: -2.35,
  quantity: 3,
  count: 7,
  order: { total: 19.99 },
  items: [
    { price: 0.7, quantity: 11 },
    { price: 1.15, quantity: 2 },
  ],
};

const written = fc.constantFrom(
  ...['0.1', '0.7', '3.0', '4.05', '2', '3', '100'].map((text): Case => ({ source: text, exact: unitsOf(text) })),
  ...[
    ['data.price', '0.1'],
    ['data.cost', '-2.35'],
    ['data.quantity', '3'],
    ['data["count"]', '7'],
    ['data.order.total', '19.99'],
    ['data.items[0].price', '0.7'],
    ['data.items[0].quantity', '11'],
    ['data.items[data.quantity - 2]["price"]', '1.15'],
    ['size(data.items)', '2'],
  ].map(([source, text]): Case => ({ source: source!, exact: unitsOf(text!) })),
);

/** Ways to write the same number that the interpreter alone can evaluate. */
const ways: ((source: string) => string)[] = [
  (source) => `(${source})`,
  (source) => `(has(data.price) ? dyn(${source}) : data.price)`,
  (source) => `(has(data.missing) ? data.price : dyn(${source}))`,
  (source) => `[1, 2].map(i, dyn(${source}))[1]`,
  (source) => `data.items.map(i, i.price == 0.7 ? dyn(${source}) : data.price)[0]`,
  (source) => `cel.bind(n, ${source}, n)`,
  (source) => `{"n": ${source}}["n"]`,
];

/** Expressions of so few and short numbers that no result has more than 15 digits. */
const { number } = fc.letrec<{ number: Case }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    written,
    fc.tuple(tie('number'), fc.constantFrom('+', '-', '*'), tie('number')).map(([a, op, b]): Case => {
      return { source: `(${a.source} ${op} ${b.source})`, exact: plainly[op](a.exact, b.exact) };
    }),
    fc.tuple(tie('number'), fc.constantFrom('0.1', '2.5', '8.0')).map(([a, divisor]): Case => {
      return { source: `(${a.source} / ${divisor})`, exact: plainly['/'](a.exact, unitsOf(divisor)) };
    }),
    tie('number').map(({ source, exact }): Case => ({ source: `(-${source})`, exact: -exact })),
    fc.tuple(tie('number'), fc.constantFrom(...ways)).map(([{ source, exact }, way]): Case => {
      return { source: way(source), exact };
    }),
  ),
}));

describe('arithmetic', () => {
  it('is that of decimals, whatever the expression is made of', () => {
    fc.assert(
      fc.property(number, ({ source, exact }) => {
        assert.equal(Number(evaluate(source, data)) + 0, numberOf(exact) + 0, source); // -0 is 0
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the same where the interpreter decides, because a part has no result', () => {
    assert.equal(evaluate('data.missing == 1 || data.price * data.quantity == 0.3', data), true);
    assert.equal(evaluate('data.items.exists(i, i.price * i.quantity == 7.7)', data), true);
    assert.equal(evaluate('data.items.filter(i, i.price * 3 == 3.45)[0].quantity', data), 2);
  });

  it('has the double nearest to a quotient', () => {
    for (const [source, value] of [
      ['data.price / 3', 0.1 / 3],
      ['data.items[0].price / data.price', 7],
      ['data.count / data.quantity', 7 / 3],
      ['data.count / 2', 3.5],
      ['data.price / 0', Infinity],
      ['1e300 / 1e-300', Infinity],
      ['1e-300 / 3.0', 1e-300 / 3],
    ] as const)
      assert.equal(evaluate(source, data), value, source);
    assert.equal(evaluate('size(data.items) / 3', data), 0n); // two integers of the expression: CEL's quotient of integers
  });

  it('keeps each digit of whole numbers that a double does not hold', () => {
    const large = { id: 9_007_199_254_740_993n, one: 1, last: 2n ** 63n - 1n };
    for (const [source, value] of [
      ['data.id + data.one', 9_007_199_254_740_994n],
      ['data.one - data.id', -9_007_199_254_740_992n],
      ['data.id * 2', 18_014_398_509_481_986n],
      ['data.id / data.one', 9_007_199_254_740_992],
    ] as const)
      assert.equal(evaluate(source, large), value, source);
    assert.throws(() => evaluate('data.last + data.one', large), ExpressionError);
  });

  it('lets whole numbers go with any in an expression over a row', () => {
    const row = { key: '7', windowStart: 0, windowEnd: 60_000, values: { orders: 3, revenue: 0.3 } };
    const aggregates = { orders: 'int', revenue: 'double' } as const;
    for (const source of ['revenue / orders == 0.1', 'orders * 0.1 == revenue', 'orders / 2 == 1'])
      assert.equal(rowExpression(source, aggregates).evaluate(row), true, source);
  });
});
