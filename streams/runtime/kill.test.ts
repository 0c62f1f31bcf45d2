import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';
import { encodeHeaders } from '#platform/contract';
import { createKafka } from '#platform/kafka';
import type { Kafka, Producer } from '#platform/kafka';
import { eventually } from '#test/eventually.ts';
import { createLogger } from '#platform/telemetry';
import { readOutbox } from '#platform/outbox/testing.ts';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { declareWorker, spawnWorker } from '#streams/testing/worker.ts';

const log = createLogger('kill-test', 'silent');
/** 50 kills take minutes: a member that was killed is missed after seconds only */
const kills = process.env['STREAMS_LONG'] ? 50 : 3;
const eventsPerRound = 200;
const start = Date.UTC(2026, 0, 1);
const minute = 60_000;

/** An order of the stream: a total over 90 is one of high value, and a minute has 40 of them. */
const orderOf = (n: number) => ({ orderId: n, userId: n % 7, totalAmount: (n * 37) % 100, status: 'PENDING' });
const timeOf = (n: number) => start + Math.floor(n / 40) * minute;

describe('a worker that is killed again and again', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let producer: Producer;
  let folder: string;
  let topic: string;
  let worker: ChildProcess | undefined;

  before(async () => {
    database = await createTestDatabase('analytics');
    topic = await uniqueTopic('kill-orders', 3);
    const alerts = await uniqueTopic('kill-alerts', 3);
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'kill-test', log });
    producer = await kafka.producer();
    folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
    declareWorker(folder, { topics: [topic, alerts], partitions: 3, queries: queriesTo(alerts) });
  });
  after(async () => {
    worker?.kill('SIGKILL');
    await producer.close();
    await kafka.close();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  function startWorker(): void {
    worker = spawnWorker({ databaseUrl: database.url, declarations: folder });
  }

  async function send(from: number, to: number): Promise<void> {
    for (let partition = 0; partition < 3; partition++) {
      const own = Array.from({ length: to - from }, (_, i) => from + i).filter((n) => n % 3 === partition);
      const messages = own.map((n) => ({
        key: String(n),
        value: Buffer.from(JSON.stringify(orderOf(n))),
        headers: encodeHeaders({
          id: `o-${n}`,
          type: 'test.order',
          source: '/t',
          subject: '',
          time: new Date(timeOf(n)),
        }),
      }));
      await producer.send(topic, partition, messages);
    }
  }

  const handled = async () => {
    const { rows } = await database.pool.query<{ n: number }>(
      'SELECT coalesce(sum(next_offset), 0)::int AS n FROM millrace.inbox_offsets WHERE topic = $1',
      [topic],
    );
    return rows[0]!.n;
  };

  it('leaves the alerts of an undisturbed run, each once', async () => {
    const total = (kills + 1) * eventsPerRound;
    const seed = Math.floor(Math.random() * 1_000_000);
    let random = seed;
    for (let kill = 0; kill < kills; kill++) {
      startWorker();
      const earlier = await handled();
      await send(kill * eventsPerRound, kill * eventsPerRound + eventsPerRound / 2);
      // somewhere between joining, handling and committing what is sent now
      if (kill % 2 === 0) await eventually(async () => (await handled()) > earlier, 'progress', 60_000);
      const sending = send(kill * eventsPerRound + eventsPerRound / 2, (kill + 1) * eventsPerRound);
      random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
      await pause(random % 150);
      worker!.kill('SIGKILL');
      await Promise.all([once(worker!, 'exit'), sending]);
    }
    startWorker();
    await send(kills * eventsPerRound, total);
    await eventually(async () => (await handled()) >= total, `all events (seed ${seed})`, 60_000);

    const numbers = Array.from({ length: total }, (_, n) => n);
    const expected = [
      ...numbers.filter((n) => orderOf(n).totalAmount > 90).map((n) => `high ${n} ["/t","o-${n}"]`),
      ...numbers.filter((n) => n % 40 === 0).map((n) => `spike all ${new Date(timeOf(n)).toISOString()}`),
    ].toSorted();
    const { rows } = await database.pool.query<{ alert: string }>(
      `SELECT type || ' ' || key || ' ' || occurrence AS alert FROM alerts`,
    );
    assert.deepEqual(rows.map(({ alert }) => alert).toSorted(), expected, `seed ${seed}`);
    const written = (await readOutbox(database.pool)).filter(({ type }) => type === 'alert.raised');
    assert.equal(new Set(written.map(({ event_id: id }) => id)).size, expected.length, `seed ${seed}`);
    assert.equal(written.length, expected.length, `seed ${seed}`);
  });
});

/** Two queries with alerts. */
const queriesTo = (alerts: string) => ({
  high: `  where: data.totalAmount > 90.0
  keyBy: string(data.orderId)
  select: [{ name: total, value: data.totalAmount }]
  emit: { to: ${alerts} }
  alert: { severity: info, message: 'Order {key}' }
`,
  spike: `  window: { tumbling: 1m, grace: 1d, retention: 2d }
  select: [{ name: orders, count: true }]
  having: orders > 30
  emit: { to: ${alerts} }
  alert: { severity: warning, message: 'A spike' }
`,
});
