import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { analytics } from '#contracts/analytics.ts';
import { encodeHeaders } from '#platform/contract';
import { streamQueryFiles } from '#platform/declarations';
import { Health } from '#platform/health';
import { createHttp } from '#platform/http';
import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { createHandlers } from '../../services/analytics/api/handlers.ts';
import { LiveFeed } from '../../services/analytics/api/live.ts';
import { declare } from '#streams/testing/declare.ts';
import { orderEvent, queryOf, start } from '#streams/testing/support.ts';
import { Engine, StatusBoard, StreamObserver } from '#streams/runtime';
import { queryTool } from './tool.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const log = createLogger('test', 'silent');

interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

async function query(...args: string[]): Promise<Outcome> {
  let [out, err] = ['', ''];
  const code = await queryTool(args, { out: (text) => (out += `${text}\n`), err: (text) => (err += `${text}\n`) });
  return { code, out, err };
}

/** Runs the command in a process of its own. */
async function runProgram(...args: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, ['--no-warnings', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

const visits = `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: visits }
spec:
  from: [{ topic: order-events }]
  keyBy: string(data.userId)
  window: { session: 10m, grace: 0s }
  select: [{ name: orders, count: true }, { name: spent, sum: data.totalAmount }]
  having: orders > 1
  emit: { to: analytics-events, on: close }
`;

const high = `apiVersion: millrace.dev/v1beta1
kind: StreamQuery
metadata: { name: high }
spec:
  from: [{ topic: order-events }]
  where: data.totalAmount > 100.0
  select: [{ name: total, value: data.totalAmount }]
  emit: { to: analytics-alerts }
  alert: { severity: info, message: '{total:2}' }
`;

function line(id: number, minute: number, userId: number, totalAmount: number): string {
  const time = new Date(start + minute * 60_000).toISOString();
  return JSON.stringify({ id: `e-${id}`, type: 'order.created', time, data: { userId, totalAmount } });
}

describe('the query command', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-query-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  function file(name: string, content: string): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  }

  it('says how it is used, and what it does not understand', async () => {
    const help = await runProgram('--help');
    assert.deepEqual([help.code, help.out.split('\n')[0]], [0, 'Usage: npm run --silent query -- <command>']);
    const misunderstood = [
      [['exlpain'], /^There is no command exlpain\./],
      [['run'], /^run needs the file of a query\./],
      [['run', 'a.yaml'], /^run needs --topic-dump/],
      [['run', '--jsn'], /^Unknown option '--jsn'/],
      [['windows'], /^windows needs one name\./],
      [['windows', 'revenue', '--url', 'x'], /^--url is no address: x/],
      [['dump'], /^dump needs one topic\./],
    ] as const;
    await Promise.all(
      misunderstood.map(async ([args, message]) => {
        const { code, err } = await query(...args);
        assert.match(err, message);
        assert.equal(code, 2);
      }),
    );
    const ended = await runProgram('exlpain');
    assert.deepEqual([ended.code, ended.out], [2, '']);
    assert.match(ended.err, /^There is no command exlpain\./);
  });

  it('explains queries', async () => {
    const { code, out } = await query('explain', file('visits.yaml', visits));
    assert.equal(code, 0);
    assert.match(out, /^visits: orders, spent of each string\(data\.userId\), in windows \(session 10m\)\n/);
    assert.match(out, /events of its key at most 10m apart are one session/);
    assert.match(out, /late +an event that is 10m \(gap and grace\) behind/);
    assert.match(out, /"windowEnd": "2026-01-01T10:17:30\.000Z"/);
    const hopping = visits.replace('session: 10m', 'hopping: { size: 20m, advance: 5m }');
    const { out: hops } = await query('explain', file('hopping.yaml', hopping));
    assert.match(hops, /is in 2026-01-01T09:50:00\.000Z to 2026-01-01T10:10:00\.000Z, .* and 1 more\n/);
    const declared = await query('explain');
    assert.equal(declared.code, 0);
    assert.equal(declared.out.match(/^ {2}sources /gm)?.length, streamQueryFiles().length);
  });

  it('names every mistake of every file with its line', async () => {
    const first = file('first.yaml', visits.replace('order-events', 'order-event').replace('orders > 1', 'order > 1'));
    const second = file('second.yaml', 'kind: StreamQuery\n');
    const { code, err } = await query('explain', first, second);
    assert.equal(code, 1);
    assert.match(err, /first\.yaml:5: spec\.from\.0\.topic: .*order-event\b/);
    assert.match(err, /first\.yaml:9: spec\.having: Unknown variable: order/);
    assert.match(err, /second\.yaml:1: /);
    assert.match((await query('explain', join(folder, 'none.yaml'))).err, /cannot be read: there is no such file/);
  });

  it('runs queries on a recording', async () => {
    const lines = [line(1, 0, 1, 99.1), line(2, 4, 1, 0.2), line(2, 4, 1, 0.2), line(3, 9, 2, 500), line(4, 40, 1, 1)];
    const late = [line(5, 0, 3, 7), line(6, 41, 2, 1).replace(/"userId":2,/, '')];
    const dump = file('orders.jsonl', `${[...lines, ...late].join('\n')}\n`);
    const queries = [file('visits.yaml', visits), file('high.yaml', high)];
    const { code, out, err } = await query('run', ...queries, '--topic-dump', dump, '--json');
    assert.deepEqual([code, err], [0, '']);
    const at = (minute: number) => new Date(start + minute * 60_000).toISOString();
    const row = (key: string, from: number, to: number, orders: number, spent: number) => ({
      key,
      windowStart: at(from),
      windowEnd: at(to),
      values: { orders, spent },
    });
    assert.deepEqual(
      out
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text) as unknown),
      [
        { query: 'visits', window: { ...row('1', 0, 14, 2, 99.3), closed: true } },
        { query: 'visits', window: { ...row('2', 9, 19, 1, 500), closed: true } },
        { query: 'visits', window: { ...row('1', 40, 50, 1, 1), closed: false } },
        { query: 'visits', to: 'analytics-events', event: row('1', 0, 14, 2, 99.3) },
        {
          query: 'visits',
          summary: {
            matched: 4,
            late: 1,
            latestMs: 2_400_000,
            failed: 1,
            failure: 'e-6: string(data.userId): No such key: userId',
            watermark: at(41),
          },
        },
        {
          query: 'high',
          to: 'analytics-alerts',
          alert: {
            severity: 'info',
            message: '500.00',
            key: 'all',
            windowStart: null,
            windowEnd: null,
            values: { total: 500 },
          },
        },
        {
          query: 'high',
          summary: { matched: 1, late: 0, latestMs: 0, failed: 0, failure: null, watermark: at(41) },
        },
      ],
    );
    const readable = await query('run', ...queries, '--topic-dump', dump);
    assert.match(readable.out, /^visits: 4 events counted, 1 late \(the latest by 40m\), 1 without a result/);
    assert.match(readable.out, / 1 +closed +2 +99\.3\n/);
    assert.match(readable.out, /1 alert to analytics-alerts\n {4}info {2}500\.00\n$/);
  });

  it('names the lines of a recording that are no events', async () => {
    const dump = file('bad.jsonl', `${line(1, 0, 1, 1)}\n{"id":\n{"id":"a","type":"t","data":1}\n`);
    const { code, err } = await query('run', file('visits.yaml', visits), '--topic-dump', dump);
    assert.equal(code, 1);
    assert.match(err, /bad\.jsonl:2: not JSON: /);
    assert.match(err, /bad\.jsonl:3: .*time/);
    const several = visits.replace('{ topic: order-events }', '{ topic: order-events }, { topic: user-events }');
    const both = await query('run', file('both.yaml', several), '--topic-dump', file('one.jsonl', line(1, 0, 1, 1)));
    assert.match(both.err, /one\.jsonl:1: the event does not say its topic/);
  });

  it('shows the windows of a running service', async () => {
    const database = await createTestDatabase('analytics');
    const { pool } = database;
    const { source, versions } = await declare(pool, 'analytics', [
      queryOf(
        'revenue',
        `from: [{ topic: order-events }]
window: { tumbling: 1h }
select: [{ name: revenue, sum: data.totalAmount }, { name: users, distinct: string(data.userId), exactUpTo: 1 }]`,
      ),
    ]);
    const engine = new Engine({ group: 'analytics', pool, source, versions, now: () => start + 86_400_000 });
    const events = [1, 2].map((id) => orderEvent({ id, userId: id, total: 0.1 }));
    await transaction(pool, (tx) => engine.handle(tx, events));
    const admin = { topicId: () => Promise.resolve(undefined), watermarks: async () => new Map() };
    const observer = new StreamObserver({ admin, pool, group: 'analytics', topics: () => [] });
    const board = new StatusBoard({ pool, observer, versions: () => versions, faults: () => [] });
    const [health, live] = [new Health(), new LiveFeed({ pool, log })];
    const handlers = createHandlers({ pool, plans: () => versions.serving, board, live, health });
    const http = createHttp({ contract: analytics, handlers, health, log });
    const url = `http://127.0.0.1:${await http.listen(0, '127.0.0.1')}`;
    try {
      const { code, out } = await query('windows', 'revenue', '--url', url, '--key', 'all');
      assert.equal(code, 0);
      assert.equal(
        out,
        `start                     end                       key  state  revenue  users
2026-01-01T00:00:00.000Z  2026-01-01T01:00:00.000Z  all  open       0.2  ~2\n`,
      );
      const json = await query('windows', 'revenue', '--url', url, '--json', '--from', '2026-01-01');
      assert.deepEqual((JSON.parse(json.out) as { estimates: unknown }).estimates, ['users']);
      const missing = await query('windows', 'revenu', '--url', url);
      assert.deepEqual([missing.code, missing.err], [1, 'There is no stream query revenu (404)\n']);
      const wrong = await query('windows', 'revenue', '--url', url, '--from', 'yesterday');
      assert.match(wrong.err, /\(400\)\n {2}from must be an ISO 8601 time\n$/);
    } finally {
      await http.close();
      await database.drop();
    }
    const away = await query('windows', 'revenue', '--url', url);
    assert.deepEqual([away.code, /does not answer \(ECONNREFUSED\)/.test(away.err)], [1, true]);
  });

  it('records a topic, so that queries run on it', async () => {
    const { brokers } = testKafka();
    const topic = await uniqueTopic('query-dump', 3);
    const kafka = createKafka({ brokers: brokers.split(','), clientId: 'tool-test', log });
    const producer = await kafka.producer();
    for (let id = 0; id < 30; id++) {
      const envelope = { id: `o-${id}`, type: 'test.order', source: '/test', subject: '', time: new Date(start + id) };
      const headers = id === 29 ? {} : encodeHeaders(envelope);
      const value = Buffer.from(`{"userId":900719925474099${2 + (id % 2)},"totalAmount":0.1}`); // the same in a double
      await producer.send(topic, id % 3, [{ key: String(id), value, headers }]);
    }
    await producer.close();
    await kafka.close();
    const { code, out, err } = await runProgram('dump', topic, '--brokers', brokers);
    assert.deepEqual([code, err], [0, '29 events; 1 messages are no events and were left out\n']);
    const yaml = visits.replace('order-events', topic).replace('on: close', 'on: change');
    const ran = await query('run', file('dumped.yaml', yaml), '--topic-dump', file('dumped.jsonl', out), '--json');
    const windows = ran.out.split('\n').filter((text) => text.includes('"window"'));
    assert.deepEqual(
      windows.map((text) => (JSON.parse(text) as { window: { values: unknown } }).window.values),
      [
        { orders: 15, spent: 1.5 },
        { orders: 14, spent: 1.4 },
      ],
    );
    const away = await query('dump', topic, '--brokers', '127.0.0.1:1');
    assert.equal(away.code, 1);
  });
});
