import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';

import fc from 'fast-check';

import { formatLine, LineSplitter, type LogStyle } from './log-format.ts';

const plain: LogStyle = { colour: false, names: ['orders', 'gateway'] };
const record = {
  level: 'info',
  time: '2026-01-02T03:04:05.678Z',
  pid: 7,
  service: 'orders',
  trace_id: 'abc',
  span_id: 'def',
  msg: 'listening',
  port: 8082,
};

describe('formatLine', () => {
  test('shows time, service, level, message and fields of a JSON line', () => {
    assert.equal(formatLine('orders', JSON.stringify(record), plain), '03:04:05.678 orders  INFO  listening port=8082');
  });

  test('shows the trace of warnings and errors, and an error with its stack', () => {
    const line = JSON.stringify({
      ...record,
      level: 'error',
      err: { type: 'E', message: 'no', stack: 'E: no\n    at x' },
    });
    assert.equal(
      formatLine('orders', line, plain),
      '03:04:05.678 orders  ERROR listening port=8082 trace=abc\n    E: no\n        at x',
    );
  });

  test('shows the code of an error, which docs/errors.md explains', () => {
    const err = { type: 'E', message: 'no', stack: 'E: no\n    at x', code: 'ERR_CONFIG_INVALID' };
    const [, head] = formatLine('orders', JSON.stringify({ ...record, err }), plain).split('\n');
    assert.equal(head, '    E: no [ERR_CONFIG_INVALID]');
  });

  test('quotes text with spaces and shortens long values', () => {
    const shown = formatLine(
      'orders',
      JSON.stringify({ ...record, port: undefined, note: 'a b', long: 'x'.repeat(999) }),
      plain,
    );
    assert.match(shown, / note="a b" long=x{160}\.\.\.$/);
  });

  test('shows characters that a terminal would obey', () => {
    const hostile = '\u001b[2Ja\u0007\u009b1A\rb\u202ec';
    const shown = '\\u001b[2Ja\\u0007\\u009b1A';
    const err = { stack: `E: ${hostile}\n    at x` };
    const lines = [
      hostile,
      JSON.stringify({ ...record, msg: hostile, err }),
      JSON.stringify({ ...record, path: hostile }),
    ];
    for (const line of lines) {
      const text = formatLine('orders', line, plain);
      assert.ok(text.includes(shown), text);
      assert.doesNotMatch(text, /[^\P{Cc}\n]|\u202e/u);
    }
  });

  test('lets no message begin a line', () => {
    const text = formatLine('orders', JSON.stringify({ ...record, msg: 'a\n03:04:05.678 orders  INFO  b' }), plain);
    assert.match(text, / a\n {4}03:04/);
  });

  test('passes through lines that are not records', () => {
    for (const line of ['plain text', '{broken', '{"a":', '']) {
      assert.equal(formatLine('gateway', line, plain), `             gateway ${line}`);
    }
  });

  test('colour adds control characters only', () => {
    const line = JSON.stringify({ ...record, level: 'warn' });
    const coloured = formatLine('orders', line, { ...plain, colour: true });
    assert.notEqual(coloured, formatLine('orders', line, plain));
    assert.equal(stripVTControlCharacters(coloured), formatLine('orders', line, plain));
  });
});

test('LineSplitter yields the same lines for any chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (chunks) => {
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line));
      for (const chunk of chunks) splitter.push(chunk);
      splitter.end();
      const expected = chunks.join('').split('\n');
      if (expected.at(-1) === '') expected.pop();
      assert.deepEqual(lines, expected);
    }),
    { examples: [[['a\nb', 'c\n', '\nd']]] },
  );
});

test('LineSplitter passes an endless line on in pieces', () => {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line), 10);
  splitter.push('x'.repeat(25));
  splitter.push('y\n');
  assert.deepEqual(lines, ['x'.repeat(25), 'y']);
});
