import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QueryFilesError, loadQueries } from './load.ts';
import { parseQuery } from './parse.ts';

const known = { known: new Set(['order-events', 'analytics-alerts']), others: new Map<string, string>() };

function faultsOf(text: string): string[] {
  return parseQuery('q.yaml', text, known).faults.map(({ line, message }) => `${line}: ${message}`);
}

const head = `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: spike }
spec:
`;

function fingerprintOf(spec: string): string | undefined {
  return parseQuery('q.yaml', `${head}  from: [{ topic: order-events }]\n${spec}`).query?.fingerprint;
}

describe('a query file', () => {
  it('is read with its defaults', () => {
    const { query, faults } = parseQuery(
      'q.yaml',
      `${head}  from: [{ topic: order-events, types: [order.created] }]
  window: { hopping: { size: 1h, advance: 5m } }
  select: [{ name: orders, count: true }]
  emit: { to: analytics-alerts }
`,
    );
    assert.deepEqual(faults, []);
    assert.deepEqual(query?.window, {
      kind: 'hopping',
      size: 3_600_000,
      advance: 300_000,
      grace: 3_600_000,
      retention: 604_800_000,
    });
    assert.deepEqual(query.emit, { to: 'analytics-alerts', on: 'change', everyMs: 1_000 });
    assert.equal(query.windowText, 'hopping 1h every 5m');
    assert.equal(query.alert, undefined);
  });

  it('has its faults of form reported with their lines, all at once', () => {
    const text = `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: A_b }
spec:
  from: [{ topic: order-events, typs: [a] }]
  windw: 1
  window:
    tumbling: 5 minutes
  select:
    - { name: orders, count: true, sum: 2 }
  emit: { on: x }
`;
    assert.deepEqual(faultsOf(text), [
      '3: metadata.name must be lower-case letters, digits and hyphens',
      '5: spec.from.0.typs: there is no such field; did you mean types?',
      '6: spec.windw: there is no such field; did you mean window?',
      '8: spec.window.tumbling must be a duration: a whole number with ms, s, m, h or d',
      '10: spec.select.0.sum must be string',
      '11: spec.emit must have required properties to',
      '11: spec.emit.on must be one of change, close',
    ]);
  });

  it('has its faults of meaning reported with their lines, all at once', () => {
    const text = `${head}  from:
    - { topic: order-event }
    - { topic: order-event }
  where: |
    data.a ==
    "x" && )
  keyBy: 1 + 1
  timestamp: event.tim
  window:
    tumbling: 5m
    hopping: { size: 1h, advance: 2h }
  select:
    - { name: orders, count: true, sum: data.a }
    - { name: orders, avg: '"text"' }
    - { name: key, value: data.a, scale: 2 }
  having: revenu > 5
  alert: { severity: info, message: '{orders} {nothing}' }
`;
    assert.deepEqual(faultsOf(text), [
      '6: spec.from.0.topic: no service declares the topic order-event; did you mean order-events?',
      '7: spec.from.1.topic: no service declares the topic order-event; did you mean order-events?',
      '7: spec.from.1.topic: order-event is there twice; list its types once',
      '10: spec.where: Unexpected token: RPAREN (character 18)',
      '11: spec.keyBy: must be a text; string(...) makes one, is int',
      '12: spec.timestamp: No such key: tim (character 7)',
      '13: spec.window: either tumbling, hopping or session, exactly one',
      '17: spec.select.0: exactly one of count, sum, min, max, avg, distinct, value',
      '18: spec.select.1.name: is there twice',
      '18: spec.select.1.avg: must be a number, is string',
      '19: spec.select.2.name: key has another meaning here',
      '19: spec.select.2.value: a window needs count, sum, min, max, avg or distinct',
      '19: spec.select.2.scale: is for avg; others are exact',
      '20: spec.having: Unknown variable: revenu (character 1)',
      '21: spec.alert: emit.to must say the topic of the alerts',
      '21: spec.alert.message: {nothing} names nothing here; known are key, window.start, window.end, orders, orders, key',
    ]);
  });

  it('may hold back changes of a window only', () => {
    const text = `${head}  from: [{ topic: order-events }]
  emit: { to: analytics-alerts, on: close, every: 1s }
`;
    assert.deepEqual(faultsOf(text), [
      '6: spec.emit.on: only a window can close',
      '6: spec.emit.every: a window closes once; every is for on: change',
    ]);
  });

  it('may be no YAML at all', () => {
    assert.deepEqual(faultsOf('a: [1,\nb: *x\n').length > 0, true);
    assert.deepEqual(faultsOf(''), ['1: the document must be object']);
    assert.deepEqual(faultsOf('just text'), ['1: the document must be object']);
  });

  it('says what to do about an expression that YAML takes for a mapping', () => {
    const text = "spec:\n  keyBy: data.total > 1.0 ? 'large' : 'small'\n";
    assert.deepEqual(faultsOf(text), [
      "2: Nested mappings are not allowed in compact mappings: an expression with ': ' in it has to be in quotes",
    ]);
  });

  it('has another fingerprint when its windows mean something else', () => {
    const base = fingerprintOf('  window: { tumbling: 5m }\n');
    assert.ok(base);
    assert.equal(fingerprintOf('  window: { tumbling: 300s, grace: 2h }\n  emit: { to: analytics-alerts }\n'), base);
    assert.notEqual(fingerprintOf('  window: { tumbling: 6m }\n'), base);
    assert.notEqual(fingerprintOf('  window: { tumbling: 5m }\n  where: data.a\n'), base);
    assert.notEqual(fingerprintOf('  window: { tumbling: 5m }\n  select: [{ name: n, count: true }]\n'), base);
  });
});

describe('queries in files', () => {
  it('have names of their own', () => {
    const text = `${head}  from: [{ topic: order-events }]\n  window: { tumbling: 5m }\n  select: [{ name: n, count: true }]\n`;
    const first = { file: 'one.yaml', text };
    assert.throws(
      () => loadQueries([first, { ...first, file: 'other.yaml' }]),
      (error) =>
        error instanceof QueryFilesError &&
        /a mistake:\n {2}other\.yaml:3: metadata\.name: \S+ is the name of/.test(error.message),
    );
  });
});
