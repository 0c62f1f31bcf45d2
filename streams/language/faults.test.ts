import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { parseQuery } from './parse.ts';
import { queryTopics } from './topics.ts';

const produces = (...topics: string[]) => topics.map((topic) => ({ topic, partitions: 1, retention: -1 }));
const consumes = (group: string) => [{ group, topics: ['order-events'], database: 'd' }];
const topics = queryTopics([
  { metadata: { name: 'orders' }, spec: { produces: produces('order-events'), consumes: consumes('projection') } },
  { metadata: { name: 'users' }, spec: { produces: produces('user-events', 'revenue-analytics') } },
  {
    metadata: { name: 'analytics' },
    spec: {
      streamQueries: true,
      produces: produces('analytics-alerts', 'revenue-analytics'),
      consumes: consumes('analytics'),
    },
  },
]);

/** A query without a fault, a member a line. */
const lines = [
  'apiVersion: millrace.dev/v1beta1',
  'kind: StreamQuery',
  'metadata: { name: spike }',
  'spec:',
  '  from:',
  '    - { topic: order-events, types: [order.created] }',
  '    - { topic: user-events }',
  '  where: data.a > 1.0',
  '  keyBy: string(data.userId)',
  '  timestamp: event.time',
  '  window:',
  '    tumbling: 5m',
  '    grace: 1h',
  '    retention: 7d',
  '  select:',
  '    - { name: orders, count: true }',
  '    - { name: revenue, sum: data.a }',
  '    - { name: users, distinct: string(data.userId), exactUpTo: 5 }',
  '  having: orders > 1 && revenue > threshold',
  '  emit:',
  '    to: analytics-alerts',
  '  alert:',
  '    severity: info',
  "    message: '{key}: {revenue:2}'",
  '    threshold: 5',
];

interface Mistake {
  /** the line that the text takes the place of */
  at: number;
  text: string;
  message: string;
  /** the line that is named, where it is another one */
  named?: number;
}

const duration = 'must be a duration: a whole number with ms, s, m, h or d';
const mistakes: Mistake[] = [
  { at: 2, text: 'kind: StreamQery', message: 'kind must be StreamQuery' },
  { at: 3, text: 'metadata: { name: Spike }', message: 'metadata.name must be lower-case letters, digits and hyphens' },
  {
    at: 6,
    text: '    - { topic: order-event }',
    message: 'spec.from.0.topic: no service declares the topic order-event; did you mean order-events?',
  },
  {
    at: 6,
    text: '    - { topic: order-events, type: [a] }',
    message: 'spec.from.0.type: there is no such field; did you mean types?',
  },
  {
    at: 7,
    text: '    - { topic: order-events }',
    message: 'spec.from.1.topic: order-events is there twice; list its types once',
  },
  { at: 7, text: '    - { topic: user-events, topic: user-events }', message: 'topic is there twice' },
  { at: 8, text: '  where: data.a >', message: 'spec.where: Unexpected token: EOF (character 9)' },
  {
    at: 8,
    text: '  where: dat.a > 1.0',
    message: 'spec.where: Unknown variable: dat (character 1); did you mean data?',
  },
  { at: 8, text: '  where: 1 + 1', message: 'spec.where: must be true or false, is int' },
  { at: 8, text: '  where: 5', message: 'spec.where must be string' },
  {
    at: 9,
    text: '  keyBy: event.time',
    message: 'spec.keyBy: must be a text; string(...) makes one, is google.protobuf.Timestamp',
  },
  { at: 9, text: '  keyBy: \'"a" + 1\'', message: 'spec.keyBy: no such overload: string + int (character 1)' },
  { at: 9, text: '  keyby: data.a', message: 'spec.keyby: there is no such field; did you mean keyBy?' },
  { at: 10, text: '  timestamp: event.tim', message: 'spec.timestamp: No such key: tim (character 7)' },
  { at: 12, text: '    tumbling: 5 minutes', message: `spec.window.tumbling ${duration}` },
  { at: 12, text: '    tumbling: 0s', message: 'spec.window: a window needs a size above 0', named: 11 },
  {
    at: 12,
    text: '    tumbling: 99999999d',
    message: 'spec.window: no duration may be longer than 36500d',
    named: 11,
  },
  { at: 12, text: '    sesion: 5m', message: 'spec.window.sesion: there is no such field; did you mean session?' },
  { at: 13, text: '    grace: 1 h', message: `spec.window.grace ${duration}` },
  {
    at: 14,
    text: '    retention: 59m',
    message: 'spec.window.retention: must be at least grace: until then a window takes events',
  },
  { at: 16, text: '    - { name: orders, count: 1 }', message: 'spec.select.0.count must be boolean' },
  {
    at: 16,
    text: '    - { name: orders }',
    message: 'spec.select.0: exactly one of count, sum, min, max, avg, distinct, value',
  },
  {
    at: 17,
    text: '    - { name: revenue, sum: event.type }',
    message: 'spec.select.1.sum: must be a number, is string',
  },
  {
    at: 17,
    text: '    - { name: revenue, sum: data.a, scale: 2 }',
    message: 'spec.select.1.scale: is for avg; others are exact',
  },
  {
    at: 18,
    text: '    - { name: users, distinct: 5.0 + 1.0 }',
    message: 'spec.select.2.distinct: must be a text; string(...) makes one, is double',
  },
  {
    at: 18,
    text: '    - { name: users, max: data.a, exactUpTo: 5 }',
    message: 'spec.select.2.exactUpTo: is for distinct; others are exact',
  },
  {
    at: 18,
    text: '    - { name: users, distinct: data.a, exactUpTo: -1 }',
    message: 'spec.select.2.exactUpTo must be >= 0',
  },
  {
    at: 19,
    text: '  having: order > 1',
    message: 'spec.having: Unknown variable: order (character 1); did you mean orders?',
  },
  { at: 19, text: '  having: key', message: 'spec.having: must be true or false, is string' },
  {
    at: 21,
    text: '    to: analytics-alert',
    message: 'spec.emit.to: no service declares the topic analytics-alert; did you mean analytics-alerts?',
  },
  {
    at: 21,
    text: '    to: order-events',
    message: 'spec.emit.to: order-events is a topic of orders, which alone may write it: emit to another one',
  },
  {
    at: 21,
    text: '    to: projection.dead-letters',
    message: 'spec.emit.to: projection.dead-letters is for dead letters: emit to another topic',
  },
  {
    at: 21,
    text: '    to: analytics.dead-letters',
    message: 'spec.emit.to: analytics.dead-letters is for dead letters: emit to another topic',
  },
  { at: 23, text: '    severity: high', message: 'spec.alert.severity must be one of info, warning, critical' },
  {
    at: 24,
    text: "    message: '{total}'",
    message:
      'spec.alert.message: {total} names nothing here; known are key, window.start, window.end, threshold, orders, revenue, users',
  },
];

function faultsOf(made: readonly Mistake[]): string[] {
  const text = lines.map((line, i) => made.find(({ at }) => at === i + 1)?.text ?? line).join('\n');
  return parseQuery('q.yaml', text, topics).faults.map(({ line, message }) => `${line}: ${message}`);
}

const saidOf = ({ at, named = at, message }: Mistake) => `${named}: ${message}`;

const isDurationOrField = ({ text }: Mistake) => /minutes|sesion|1 h/.test(text);

/** Whether a mistake cannot be told while another one is there: of a window that is no window, of a topic that is none. */
function isHidden(mistake: Mistake, others: readonly Mistake[]): boolean {
  if (mistake.message.includes('is there twice; list'))
    return others.some(({ text }) => text.includes('order-event }'));
  const isOfWindow = mistake.message.startsWith('spec.window') && !isDurationOrField(mistake);
  return isOfWindow && others.some(isDurationOrField);
}

describe('the mistakes of a query file', () => {
  it('are none in the file that the others are made from', () => {
    assert.deepEqual(faultsOf([]), []);
  });

  it('are none where a topic is also produced by the service that runs the queries, or no service runs any', () => {
    const emitsTo = (to: string) => lines.map((line, i) => (i === 20 ? `    to: ${to}` : line)).join('\n');
    assert.deepEqual(parseQuery('q.yaml', emitsTo('revenue-analytics'), topics).faults, []);
    const unrun = queryTopics([{ metadata: { name: 'orders' }, spec: { produces: produces(...topics.known) } }]);
    assert.deepEqual(parseQuery('q.yaml', emitsTo('order-events'), unrun).faults, []);
  });

  it('are none of a query that runs, whose topics nobody names any more', () => {
    const text = lines.map((line, i) => (i === 20 ? '    to: order-events' : line)).join('\n');
    assert.ok(parseQuery('q.yaml', text).query);
  });

  for (const mistake of mistakes) {
    it(`have a line and a reason: ${mistake.text.trim()}`, () => {
      assert.deepEqual(faultsOf([mistake]), [saidOf(mistake)]);
    });
  }

  it('are reported together, whatever kinds of them there are, and nothing else', () => {
    const sets = fc.uniqueArray(fc.constantFrom(...mistakes), { selector: ({ at }) => at });
    fc.assert(
      fc.property(sets, (made) => {
        const said = faultsOf(made);
        const expected = made.filter((mistake) => !isHidden(mistake, made)).map(saidOf);
        assert.deepEqual(said.toSorted(), expected.toSorted());
      }),
      { numRuns: 500 },
    );
  });
});
