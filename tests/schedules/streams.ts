import type pg from 'pg';
import type { ReceivedEvent } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import type { Kafka } from '#platform/kafka';
import type { SentMessage } from '#platform/kafka/testing/fake.ts';
import type { Pool } from '#platform/postgres';
import { StreamObserver, createWorkers, Engine, lazyDecoder } from '#streams/runtime';
import type { MetricUpdated } from '#streams/contract';
import type { Versions } from '#streams/engine';
import { listWindows, VersionSource } from '#streams/store';
import { declare } from '#streams/testing/declare.ts';
import { idleAfterMs } from '#streams/engine/query-progress.ts';
import { oracle, oracleQueriesThat, overAndOpen, windowName } from '#streams/testing/oracle.ts';
import type { OracleQuery } from '#streams/testing/oracle.ts';
import type { Finding } from './check.ts';
import { log } from './parts.ts';
import type { Part } from './parts.ts';
import { topic } from './writer.ts';

export const streamGroup = 'analytics';
/** where the queries send their results */
export const resultsTopic = 'analytics-events';
const threshold = 3;

const named = (names: readonly string[], suffix: string, emission: string) =>
  oracleQueriesThat(suffix, emission).filter(({ query }) => names.includes(query.name.slice(0, -suffix.length)));
/** Their windows are compared, what they emit, and what they raise. */
const kept = named(['tumbling', 'short-sessions'], '-kept', '');
const emitting = named(['by-creation'], '-emitted', `emit: { to: ${resultsTopic}, every: 200ms }`);
const closing = named(['tumbling', 'short-sessions'], '-closing', `emit: { to: ${resultsTopic}, on: close }`);
const alerting = named(
  ['everything'],
  '-alerting',
  `having: orders >= ${threshold}
emit: { to: ${resultsTopic} }
alert: { severity: info, message: 'Key {key}' }`,
);

/** Puts the queries into effect, once for all schedules. */
export async function declareQueries(pool: Pool): Promise<Versions> {
  const queries = [...kept, ...emitting, ...closing, ...alerting].map(({ query }) => query);
  const { versions } = await declare(pool, streamGroup, queries);
  return versions;
}

/** A worker, as the service analytics has it. */
export function startWorker(
  versions: Versions,
  { pool, kafka, onEmitted, lingerMs }: { pool: Pool; kafka: Kafka; onEmitted: () => void; lingerMs: number },
): Part {
  const health = new Health();
  const engine = new Engine({ group: streamGroup, pool, source: new VersionSource(streamGroup), versions });
  const observer = new StreamObserver({ admin: kafka.admin, pool, group: streamGroup, topics: () => [topic] });
  const board = { sample: () => Promise.resolve() };
  const workers = createWorkers({ pool, log, health, versions: () => versions, observer, board, onEmitted });
  const inbox = new Inbox({
    group: streamGroup,
    topics: [topic],
    pool,
    kafka,
    log,
    health,
    decode: lazyDecoder({}),
    handle: (tx, events) => engine.handle(tx, events),
    replay: (tx, events) => engine.replay(tx, events),
    accumulator: engine,
    maxBatch: 250,
    lingerMs,
    onCommitted: onEmitted,
  });
  for (const worker of workers) worker.start();
  inbox.start();
  return {
    health,
    wake: () => undefined,
    stop: async () => {
      await Promise.all(workers.map((worker) => worker.stop()));
      await inbox.stop();
    },
  };
}

/** Whether the log alone says what closes: a partition that is silent for so long would close windows that it could still change. */
const isLogAll = (lasted: number) => lasted < idleAfterMs;

/**
 * Whether all windows are closed that have to be.
 * @param lasted how long the schedule has lasted, in simulated milliseconds
 */
export function hasClosed(sent: readonly SentMessage[], lasted: number): boolean {
  const events = eventsOf(sent);
  return (
    !isLogAll(lasted) ||
    closing.every((query) => readersView(query, sent).windows.size >= overAndOpen(query, events).over.size)
  );
}

/**
 * Compares the windows, what was emitted of them and the alerts with a plain calculation over the log.
 * @param lasted how long the schedule has lasted, in simulated milliseconds
 */
export async function checkStreams(
  client: pg.Client,
  versions: Versions,
  sent: readonly SentMessage[],
  lasted: number,
): Promise<Finding[]> {
  const pool = client as unknown as Pool; // it is only asked
  const events = eventsOf(sent);
  const findings: Finding[] = [];
  const compare = (what: string, found: unknown, expected: unknown) => {
    const [is, shouldBe] = [JSON.stringify(found), JSON.stringify(expected)];
    if (is !== shouldBe) findings.push({ kind: 'window', what: `${what}: ${is} instead of ${shouldBe}` });
  };
  const sorted = (windows: Map<string, unknown>) => [...windows].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const sameWindows = async (query: OracleQuery) => {
    const windows = await windowsOf(pool, versions, query);
    compare(query.query.name, sorted(windows), sorted(oracle(query, events).windows));
    return windows;
  };
  for (const query of [...kept, ...emitting]) await sameWindows(query);
  for (const query of emitting)
    compare(
      `${query.query.name}, as readers see it`,
      sorted(readersView(query, sent).windows),
      sorted(oracle(query, events).windows),
    );
  for (const query of closing) {
    const { name } = query.query;
    const closed = readersView(query, sent);
    compare(`${name}, how often each closed`, closed.emissions, closed.windows.size);
    if (isLogAll(lasted)) {
      await sameWindows(query);
      compare(`${name}, as they closed`, sorted(closed.windows), sorted(overAndOpen(query, events).over));
    } else {
      const windows = await windowsOf(pool, versions, query);
      const final = [...closed.windows.keys()].map((window) => [window, windows.get(window)] as const);
      compare(`${name}, as they closed`, sorted(closed.windows), sorted(new Map(final)));
    }
  }
  const { rows } = await pool.query<{ key: string; start: Date }>('SELECT key, window_start AS start FROM alerts');
  for (const query of alerting) {
    const expected = [...oracle(query, events).windows].filter(([, { orders }]) => Number(orders) >= threshold);
    const own = rows.map(({ key, start }) => windowName(key, start.getTime(), start.getTime() + 60_000));
    compare('alerts', own.toSorted(), expected.map(([window]) => window).toSorted());
    const raised = new Set(sent.filter(({ message }) => message.headers['ce_type'] === 'alert.raised').map(idOf));
    compare('alerts that were sent', raised.size, expected.length);
  }
  return findings;
}

async function windowsOf(pool: Pool, versions: Versions, { query }: OracleQuery) {
  const windows = await listWindows(pool, versions.serving.named(query.name)!, { limit: 10_000 }, undefined);
  return new Map(
    windows.map(({ key, windowStart, windowEnd, values }) => [
      windowName(key, Date.parse(windowStart), Date.parse(windowEnd)),
      values,
    ]),
  );
}

const idOf = ({ message }: SentMessage) => message.headers['ce_id']!;

/** The view of a reader of the topic that drops repetitions and keeps the last event of each window; with how many it has read. */
function readersView({ query }: OracleQuery, sent: readonly SentMessage[]) {
  const seen = new Set<string>();
  const view = new Map<string, unknown>();
  for (const one of sent) {
    const { key, value } = one.message;
    if (one.topic !== resultsTopic || !key.startsWith(`${query.name}/`) || seen.has(idOf(one))) continue;
    seen.add(idOf(one));
    const data = JSON.parse(value.toString()) as MetricUpdated;
    view.set(windowName(data.key, Date.parse(data.windowStart!), Date.parse(data.windowEnd!)), data.values);
  }
  return { windows: view, emissions: seen.size };
}

/** The log as events, each partition in its order. */
function eventsOf(sent: readonly SentMessage[]): ReceivedEvent[] {
  const ends = new Map<number, number>();
  return sent.flatMap(({ topic: of, partition, message: { key, value, headers } }): ReceivedEvent[] => {
    if (of !== topic) return [];
    const offset = ends.get(partition) ?? 0;
    ends.set(partition, offset + 1);
    return [
      {
        id: headers['ce_id']!,
        type: headers['ce_type']!,
        source: headers['ce_source']!,
        subject: key,
        time: Date.parse(headers['ce_time']!),
        data: JSON.parse(value.toString()) as unknown,
        topic,
        partition,
        offset: BigInt(offset),
        key,
        traceparent: undefined,
      },
    ];
  });
}
