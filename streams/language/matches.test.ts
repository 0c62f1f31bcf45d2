import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReceivedEvent } from '#platform/contract';
import { ExpressionError, ExpressionFault, eventExpression, rowExpression } from './expression.ts';

const eventOf = (data: unknown): ReceivedEvent => ({
  id: 'order-1-1',
  type: 'order.created',
  source: '/orders',
  subject: '1',
  time: 0,
  data,
  topic: 'order-events',
  partition: 0,
  offset: 0n,
  key: '1',
  traceparent: undefined,
});
const matches = (pattern: string, notes: unknown) =>
  eventExpression(`data.notes.matches(${JSON.stringify(pattern)})`).evaluate(eventOf({ notes }));

describe('matches', () => {
  test('takes linear time where a backtracking engine never ends', () => {
    for (const pattern of [
      '^([a-z ]+)+$',
      '^(a|a)*$',
      '^(a*)*$',
      '(.*)(.*)(.*)(.*)(.*)x',
      '^(([a-z])+.)+[A-Z]([a-z])+$',
    ]) {
      const before = process.cpuUsage();
      assert.equal(matches(pattern, `${'a'.repeat(60)}!`), false, pattern);
      assert.equal(matches(pattern, `${'a'.repeat(20_000)}!`), false, pattern);
      const { user } = process.cpuUsage(before);
      assert.ok(user < 1_000_000, `${pattern}: ${user} µs`);
    }
  });

  test('finds a part of the text, as CEL says', () => {
    assert.equal(matches('^([a-z ]+)+$', 'a mill race'), true);
    assert.equal(matches('b+', 'abbc'), true);
    assert.equal(matches('^b', 'abbc'), false);
    assert.equal(matches('(?i)MILL', 'a mill race'), true);
    assert.equal(matches('^\\p{Greek}+$', 'μύλος'), true);
  });

  test('works in macros, and in expressions over a row', () => {
    const names = eventExpression('data.names.exists(n, n.matches("^a+$")) && !data.names.all(n, n.matches("b"))');
    assert.equal(names.evaluate(eventOf({ names: ['b', 'aaa'] })), true);
    const row = { key: 'user-7', windowStart: null, windowEnd: null, values: {} };
    assert.equal(rowExpression('key.matches("^user-[0-9]+$")', {}).evaluate(row), true);
    assert.throws(() => eventExpression('data.names.exists(n, n.matches("(?=a)b"))'), /RE2/);
    assert.throws(() => rowExpression('key.matches("(?=a)b")', {}), /RE2/);
  });

  test('refuses what RE2 does not have, with its place', () => {
    for (const pattern of ['(?=a)b', '(a)\\1', '(?<!a)b', '(', 'a{1001}']) {
      assert.throws(
        () => eventExpression(`data.notes.matches(${JSON.stringify(pattern)})`),
        (error: unknown) => error instanceof ExpressionFault && error.offset === 19 && /RE2/.test(error.message),
        pattern,
      );
    }
  });

  test('refuses a regular expression that comes with the event, or is very long', () => {
    assert.throws(() => eventExpression('data.notes.matches(data.pattern)'), /must be a literal/);
    assert.throws(() => eventExpression('data.notes.matches("a" + "b")'), /must be a literal/);
    assert.throws(() => eventExpression(`data.notes.matches("${'a'.repeat(501)}")`), /at most 500 characters/);
  });

  test('has no result for what is no text', () => {
    assert.throws(
      () => matches('a', 7),
      (error: unknown) => error instanceof ExpressionError && !/InLinearTime/.test(error.message),
    );
    assert.throws(() => eventExpression('1.matches("a")'), /matches\(/);
  });
});
