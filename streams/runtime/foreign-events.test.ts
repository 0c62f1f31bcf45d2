import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Type } from 'typebox';
import { encodeHeaders, money } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { untilPasses } from '#test/eventually.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { listWindows } from '#streams/store';
import { declare } from '#streams/testing/declare.ts';
import { queryOf, start } from '#streams/testing/support.ts';
import { lazyDecoder } from './accumulation.ts';
import { Engine } from './engine.ts';

const log = createLogger('test', 'silent');
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('events that others write, in stream queries', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let producer: Producer;
  let topic: string;
  let inbox: Inbox | undefined;
  const paid = Type.Object({ userId: Type.Integer({ minimum: 1 }), total: money() });
  const events = () => ({
    'test.paid': { summary: 'An order was paid', topics: [topic], schema: paid, source: '/test' },
  });

  before(async () => {
    database = await createTestDatabase('analytics');
    topic = await uniqueTopic('foreign', 1);
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'foreign-test', log });
    producer = await kafka.producer();
  });
  after(async () => {
    await inbox?.stop();
    await producer.close();
    await kafka.close();
    await database.drop();
  });

  it('count only where they fit the contract, and end nothing', async () => {
    const { pool } = database;
    const group = `group-${topic}`;
    const by = (name: string, types: string) =>
      queryOf(
        name,
        `from: [{ topic: ${topic}, types: [${types}] }]
keyBy: string(data.userId)
window: { tumbling: 1d, grace: 1d }
select: [{ name: sum, sum: data.total }, { name: count, count: true }]`,
      );
    const { versions, source } = await declare(pool, group, [by('paid', 'test.paid'), by('unknown', 'test.unknown')]);
    const engine = new Engine({ group, pool, versions, source });
    const feed = (text: string) => JSON.stringify(text);
    inbox = new Inbox({
      group,
      topics: [topic],
      pool,
      kafka,
      log,
      health: new Health(),
      decode: lazyDecoder(events()),
      handle: (tx, own) => engine.handle(tx, own),
      accumulator: engine,
    });
    let n = 0;
    const message = (type: string, value: string | null, from = '/test', id = `event-${n}`) => {
      n += 1;
      const headers = encodeHeaders({ id, type, source: from, subject: '', time: new Date(start) });
      return { key: 'k', value: value === null ? (null as unknown as Buffer) : Buffer.from(value), headers };
    };
    const sent = [
      message('test.paid', '{"userId":1,"total":5}'),
      message('test.paid', '{"userId":1,"total":5}', '/test', 'twice'),
      message('test.paid', '{"userId":1,"total":5}', '/test', 'twice'),
      message('test.paid', '{"userId":1,"total":5}', '/elsewhere', 'twice'),
      message('test.paid', '{"userId":1,"total":1,"total":7}'),
      message('test.paid', '{"userId":1,"total":1e30}'),
      message('test.paid', '{"userId":1,"total":-5}'),
      message('test.paid', '{"userId":1}'),
      message('test.paid', '{"userId":1,"total":5'),
      message('test.paid', null),
      ...[4_000, 8_000, 100_000].flatMap((depth) => [
        message('test.paid', `{"userId":${nested(depth)},"total":5}`),
        message('test.unknown', `{"userId":${nested(depth)},"total":5}`),
      ]),
      message('test.unknown', '{"userId":2,"total":5}'),
      message('test.unknown', '{"userId":1,"userId":2,"total":1,"total":9}'),
      message('test.unknown', `{"userId":3,"total":${feed('x')}}`),
    ];
    for (const one of sent) await producer.send(topic, 0, [one]);
    inbox.start();
    const figures = async (name: string) =>
      (await listWindows(pool, versions.serving.named(name)!, { limit: 10 }, undefined)).map(({ key, values }) => ({
        key,
        ...values,
      }));
    await untilPasses(async () => {
      assert.deepEqual(await figures('unknown'), [{ key: '2', sum: 14, count: 2 }]);
    }, 30_000);
    assert.deepEqual(await figures('paid'), [{ key: '1', sum: 22, count: 4 }]);
    const { rows } = await pool.query<{ reason: string }>('SELECT reason FROM millrace.dead_letters ORDER BY "offset"');
    assert.deepEqual(
      rows.map(({ reason }) => /not JSON|userId|total|too large/.exec(reason)?.[0]),
      ['total', 'total', 'total', 'not JSON', 'userId', 'userId', 'too large'],
    );
    const { rows: tallies } = await pool.query<{ failed: string }>(
      `SELECT c.failed FROM stream_counters c JOIN stream_queries q ON q.id = c.query_id WHERE q.name = 'unknown'`,
    );
    assert.equal(
      tallies.reduce((sum, { failed }) => sum + Number(failed), 0),
      4,
      'what a query cannot use is counted',
    );
  });
});
