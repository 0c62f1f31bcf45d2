import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as fc from 'fast-check';

import { noteOf, readResult } from './figures.ts';

/** Last lines that benches have printed. */
const lines = {
  // at 866a5e2
  ordersPerSecond:
    '{"ordersPerSecond":1699,"p50Ms":15,"p99Ms":64,"errors":0,"accepted":51000,"counts":{"orders (write database)":51000,' +
    '"order-events (Kafka)":51000},"barePerSecond":8222,"ratio":0.207,"mailsSentAfterSeconds":26.1,"ok":true}',
  readModelMedianMs:
    '{"orders":1500,"rate":50,"errors":0,"othersCores":0.86,"postMedianMs":9.4,"postP99Ms":40,"readModelMedianMs":12.7,' +
    '"readModelP99Ms":73,"readModelMaxMs":101.3}',
  secondsFresh:
    '{"secondsFresh":6.51,"secondsAgain":5.02,"idleMegabytes":789,"loadedMegabytes":923,"processes":{"Kafka":170,"npm start":39}}',
  eventsPerSecond:
    '{"events":1000000,"eventsPerSecond":96021,"cpuSeconds":14.2,"workerCpuSeconds":9.8,"peakMb":412,"correct":true,"workers":1}',
};

describe('the last line of a bench', () => {
  for (const [figure, line] of Object.entries(lines))
    test(`has every figure beside ${figure}`, () => {
      const numbers = line.match(/(?<=":)[\d.]+/g)!.map(Number);
      const result = readResult(`up after 6.5 s\n${line}\n`, figure, 0);
      assert.deepEqual([...result!.figures.values()], numbers);
    });

  test('names values within an object by their path', () => {
    const { figures } = readResult(lines.secondsFresh, 'secondsFresh', 0)!;
    assert.equal(figures.get('processes.npm start'), 39);
  });

  test('is found among the logs of services', () => {
    const log = '{"level":40,"time":1,"msg":"slow"}';
    const { figures } = readResult(`${log}\n${lines.eventsPerSecond}\n${log}\nstopped\n`, 'eventsPerSecond', 0)!;
    assert.equal(figures.get('peakMb'), 412);
    assert.equal(figures.has('level'), false);
  });

  test('is missing when the bench failed', () => {
    for (const output of ['', '{', 'Error: no', '{"level":50,"msg":"no"}', '[1]', 'null'])
      assert.equal(readResult(output, 'ordersPerSecond', 1), undefined);
  });

  test('has conditions, as has the exit code', () => {
    const { checks } = readResult(lines.ordersPerSecond, 'ordersPerSecond', 1)!;
    assert.deepEqual(Object.fromEntries(checks), { ok: true, 'exit code 0': false });
  });

  test('keeps every number at any depth', () => {
    const { tree } = fc.letrec<{ tree: unknown; node: Record<string, unknown> }>((tie) => ({
      tree: fc.oneof({ maxDepth: 3 }, fc.integer(), tie('node')),
      node: fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie('tree')),
    }));
    const count = (value: unknown): number =>
      typeof value === 'number' ? 1 : Object.values(value as object).reduce<number>((sum, v) => sum + count(v), 0);
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tree), (object) => {
        const { figures } = readResult(JSON.stringify({ ...object, perSecond: 1 }), 'perSecond', 0)!;
        assert.equal(figures.size, count({ ...object, perSecond: 1 }));
      }),
    );
  });
});

test('the name of a figure tells which direction is better', () => {
  const notes = {
    ordersPerSecond: 'more is better',
    ratio: 'more is better',
    p99Ms: 'less is better',
    secondsFresh: 'less is better',
    mailsSentAfterSeconds: 'less is better',
    peakMb: 'less is better',
    'processes.orders': 'less is better',
    'cpuMicrosPerOrder.all': 'less is better',
    errors: 'less is better',
    barePerSecond: 'the machine, not Millrace',
    'counts.orders (write database)': '',
    workers: '',
  };
  for (const [name, note] of Object.entries(notes)) assert.equal(noteOf(name), note, name);
});
