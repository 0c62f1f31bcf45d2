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
import { freePort } from '#test/ports.ts';
import { createTestDatabase } from '#test/database.ts';
import type { TestDatabase } from '#test/database.ts';
import { testKafka, uniqueTopic } from '#test/kafka.ts';
import { declareWorker, spawnWorker } from '#streams/testing/worker.ts';

const log = createLogger('rebalance-test', 'silent');
const partitions = 6;
const sendEveryMs = 50;
/** events that wait for less are not held up */
const promptMs = 1_000;
/** how long an event may wait because the group changes */
const limitMs = 5_000;

describe('a group of workers that changes', () => {
  let database: TestDatabase;
  let kafka: Kafka;
  let producer: Producer;
  let folder: string;
  let topic: string;
  const workers: ChildProcess[] = [];
  /** when each event was sent, by partition and offset */
  const sentAt: number[][] = Array.from({ length: partitions }, () => []);
  const ended = new AbortController();
  let sending: Promise<void>;
  let watching: Promise<void>;
  /** what the event that waits longest has waited for now, and what any has since it was reset */
  const wait = { now: 0, longest: 0 };

  before(async () => {
    database = await createTestDatabase('analytics');
    topic = await uniqueTopic('rebalance', partitions);
    kafka = createKafka({ brokers: testKafka().brokers.split(','), clientId: 'rebalance-test', log });
    producer = await kafka.producer();
    folder = mkdtempSync(join(tmpdir(), 'millrace-rebalance-'));
    declareWorker(folder, {
      topics: [topic],
      partitions,
      queries: { sum: '  window: { tumbling: 1h, grace: 1h }\n  select: [{ name: events, count: true }]\n' },
    });
    await startWorker();
    sending = send();
    watching = watch();
  });
  after(async () => {
    ended.abort();
    await Promise.allSettled([sending, watching]);
    for (const worker of workers) worker.kill('SIGKILL');
    await producer.close();
    await kafka.close();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** @returns when it has joined the group */
  async function startWorker(): Promise<ChildProcess> {
    const port = await freePort();
    const worker = spawnWorker({ databaseUrl: database.url, declarations: folder, port });
    workers.push(worker);
    const isReady = () =>
      fetch(`http://127.0.0.1:${port}/health`).then(
        ({ ok }) => ok,
        () => false,
      );
    await eventually(isReady, 'a worker is ready', 30_000);
    return worker;
  }

  /** An event to each partition again and again. */
  async function send(): Promise<void> {
    for (let n = 0; !ended.signal.aborted; n++) {
      for (const [partition, times] of sentAt.entries()) {
        const id = `${partition}-${n}`;
        const headers = encodeHeaders({ id, type: 'test.event', source: '/t', subject: '', time: new Date() });
        await producer.send(topic, partition, [{ key: id, value: Buffer.from('{}'), headers }]);
        times.push(performance.now());
      }
      await pause(sendEveryMs);
    }
  }

  async function watch(): Promise<void> {
    while (!ended.signal.aborted) {
      const { rows } = await database.pool.query<{ partition: number; next: number }>(
        'SELECT partition, next_offset::int AS next FROM millrace.inbox_offsets WHERE topic = $1',
        [topic],
      );
      const next = new Map(rows.map((row) => [row.partition, row.next]));
      const now = performance.now();
      const waits = sentAt.map((times, partition) => now - (times[next.get(partition) ?? 0] ?? now));
      wait.now = Math.max(...waits);
      wait.longest = Math.max(wait.longest, wait.now);
      await pause(20);
    }
  }

  /** Waits until no event has been held up for a while. */
  async function settle(): Promise<void> {
    let since = performance.now();
    const isSettled = () => {
      if (wait.now > promptMs) since = performance.now();
      return performance.now() - since > 2 * promptMs;
    };
    await eventually(isSettled, 'events are handled at once', 30_000);
  }

  /** @returns how long an event had to wait at most while something happened */
  async function longestWait(happening: () => Promise<unknown>): Promise<number> {
    await settle();
    wait.longest = 0;
    await happening();
    await settle();
    return Math.round(wait.longest);
  }

  it('holds no event up for more than 5 s, whether a worker joins, leaves or is killed', async (context) => {
    const joined = await longestWait(startWorker);
    const left = await longestWait(async () => {
      const worker = workers.at(-1)!;
      worker.kill('SIGTERM');
      await once(worker, 'exit');
    });
    await startWorker();
    const killed = await longestWait(async () => {
      const worker = workers.at(-1)!;
      worker.kill('SIGKILL');
      await once(worker, 'exit');
      await eventually(() => wait.now > promptMs, 'it is missed', 10_000);
    });
    context.diagnostic(`an event waits at most ${joined} ms as a worker joins, ${left} as it leaves, ${killed} killed`);
    for (const [how, waited] of Object.entries({ joined, left, killed }))
      assert.ok(waited <= limitMs, `${how}: ${waited} ms`);
  });
});
