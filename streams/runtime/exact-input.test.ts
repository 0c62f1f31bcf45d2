// What others write exactly is counted exactly, by each of the ways to read it: while it is new, when it is read again later, and by
// the tool on a recording.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { encodeHeaders } from '#platform/contract';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { listWindows } from '#streams/store';
import { declare, forgetQueries } from '#streams/testing/declare.ts';
import { queryOf } from '#streams/testing/support.ts';
import { runQueries } from '../cli/run.ts';
import { readDump } from '../cli/topic-dump.ts';
import { lazyDecoder } from './accumulation.ts';
import { Engine } from './engine.ts';

const group = 'analytics';
const time = new Date('2026-01-01T10:00:00Z');

const inputs: [what: string, select: string, data: string[], windows: Record<string, Record<string, unknown>>][] = [
  [
    'two ids, and amounts, that differ by less than a double can say',
    '[{ name: n, count: true }, { name: total, sum: data.totalAmount }]',
    [
      '{"userId":9007199254740992,"totalAmount":9007199254740993}',
      '{"userId":9007199254740993,"totalAmount":0.125}',
      '{"userId":9007199254740993,"totalAmount":9007199254740993}',
    ],
    {
      '9007199254740992': { n: 1, total: '9007199254740993' },
      '9007199254740993': { n: 2, total: '9007199254740993.125' },
    },
  ],
  [
    'a member that repeats, of which the last counts',
    '[{ name: total, sum: data.totalAmount }]',
    ['{"userId":1,"totalAmount":5,"totalAmount":7}', '{"userId":1,"totalAmount":5,"totalAmount":7}'],
    { '1': { total: 14 } },
  ],
  [
    'a product that is not exact in binary',
    '[{ name: exact, sum: data.unitPrice }, { name: made, sum: data.unitPrice * data.quantity }, { name: twice, sum: data.quantity * 2 }]',
    ['{"userId":1,"unitPrice":0.1,"quantity":3}'],
    { '1': { exact: 0.1, made: 0.3, twice: 6 } },
  ],
];

describe('exact input', () => {
  let database: TestDatabase;
  before(async () => {
    database = await createTestDatabase('analytics');
  });
  after(() => database.drop());
  beforeEach(() => forgetQueries(database.pool));

  for (const [what, select, data, expected] of inputs) {
    const query = queryOf(
      'exact',
      `from: [{ topic: order-events, types: [order.created] }]\nkeyBy: string(data.userId)\nwindow: { tumbling: 1h, grace: 1d }\nselect: ${select}`,
    );
    for (const [when, hours] of [
      ['while it is new', 0],
      ['two hours later', 2],
    ] as const) {
      it(`is counted ${when}: ${what}`, async () => {
        const { pool } = database;
        const now = () => time.getTime() + hours * 3_600_000;
        const engine = new Engine({ group, pool, ...(await declare(pool, group, [query])), now });
        const decode = lazyDecoder({});
        const headers = (id: string) =>
          encodeHeaders({ id, type: 'order.created', source: '/elsewhere', subject: '', time });
        const events = data.map((text, i) => {
          const at = { topic: 'order-events', partition: 0, offset: BigInt(i), key: null, timestamp: time.getTime() };
          return decode({ ...at, value: Buffer.from(text), headers: headers(String(i)) });
        });
        await transaction(pool, (tx) => engine.handle(tx, events));
        const windows = await listWindows(pool, engine.versions.serving.named('exact')!, { limit: 10 }, undefined);
        assert.deepEqual(Object.fromEntries(windows.map(({ key, values }) => [key, values])), expected);
      });
    }

    it(`is counted by the tool: ${what}`, () => {
      const lines = data.map(
        (text, i) => `{"id":"${i}","type":"order.created","time":"${time.toISOString()}","data":${text}}`,
      );
      const [run] = runQueries([query], readDump('dump', lines.join('\n'), 'order-events'), Date.now());
      assert.deepEqual(Object.fromEntries(run!.windows.map(({ row }) => [row.key, row.values])), expected);
    });
  }
});
