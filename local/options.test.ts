import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Fault } from './fault.ts';
import { parseOptions } from './options.ts';

const parse = (...args: string[]): ReturnType<typeof parseOptions> =>
  parseOptions(args, '/clone', ['orders', 'users'], {});

describe('options', () => {
  test('have defaults', () => {
    assert.deepEqual(parse(), {
      demo: false,
      rate: 5,
      fresh: false,
      portOffset: 0,
      data: '/clone/.millrace/data',
      only: undefined,
      inspect: undefined,
      help: false,
    });
  });

  test('are read', () => {
    assert.deepEqual(parse('--demo', '--rate', '0.5', '--fresh', '--port-offset=1000', '--data', '/d', '-h'), {
      demo: true,
      rate: 0.5,
      fresh: true,
      portOffset: 1000,
      data: '/d',
      only: undefined,
      inspect: undefined,
      help: true,
    });
    const { only, inspect } = parse('--only', 'orders', '--inspect', 'orders');
    assert.deepEqual([only, inspect], ['orders', 'orders']);
    assert.equal(parse('--inspect', 'users').inspect, 'users');
  });

  test('before the -- of npm are refused', () => {
    assert.throws(
      () => parseOptions([], '/clone', [], { npm_config_demo: 'true', npm_config_port_offset: '' }),
      /npm keeps --demo and --port-offset for itself: write npm start -- --demo\./,
    );
  });

  const refused: [string[], RegExp][] = [
    [['--dmeo'], /^Unknown option '--dmeo'\.$/],
    [['demo'], /'demo'/],
    [['--rate'], /--rate/],
    [['--rate', 'fast'], /--rate is "fast", which is not a number\./],
    [['--rate', '0'], /above 0/],
    [['--rate', ''], /not a number/],
    [['--port-offset', '1.5'], /whole number from 0 to/],
    [['--port-offset', '60000'], /whole number from 0 to/],
    [['--port-offset', '2000'], /10080/],
    [['--demo=yes'], /--demo/],
    [['--only', 'order'], /--only is "order", which is none of orders, users\./],
    [['--inspect', 'order'], /--inspect is "order", which is none of/],
    [['--only', 'orders', '--fresh'], /--fresh does not go with --only/],
    [['--only', 'orders', '--inspect', 'users'], /--only orders does not run users\./],
  ];
  for (const [args, message] of refused)
    test(`refuse ${args.join(' ')} with a sentence`, () => {
      assert.throws(
        () => parse(...args),
        (error) => error instanceof Fault && message.test(error.message) && error.hint !== undefined,
      );
    });
});
