// How fast the stream queries drain a topic from an empty state, what that costs, and whether the windows are right: five
// queries over a million orders, exactly once, with PostgreSQL's default durability, by one worker and by two.
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Pool } from 'pg';
import { declarationsDir, eventServices } from '#platform/declarations';
import { databaseUrl, ensureDatabases } from '#local/databases.ts';
import { startKafka } from '#local/kafka.ts';
import type { KafkaServer } from '#local/kafka.ts';
import { migrate } from '#platform/migrate';
import { portsWith } from '#local/plan.ts';
import { startPostgres } from '#local/postgres.ts';
import { prepareTopics } from '#local/prepare.ts';
import { readNumbers } from './arguments.ts';
import { differences } from './streams/compare.ts';
import { drain } from './streams/drain.ts';
import type { Expected } from './streams/events.ts';
import { fill } from './streams/fill.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const usage = 'npm run bench:streams -- [EVENTS] [WORKERS,...]';
const [events, workerCounts] = readNumbers(usage, 1_000_000, [1, 2]);

/** Five order queries that write what they find to topics. */
const queries = fileURLToPath(new URL('./streams/queries', import.meta.url));

interface Result {
  events: number;
  eventsPerSecond: number;
  /** of workers, PostgreSQL and broker */
  cpuSeconds: number;
  workerCpuSeconds: number;
  /** of workers and PostgreSQL */
  peakMb: number;
  correct: boolean;
  workers: number;
}

/** A folder of declarations with these queries only. */
function declare(folder: string): string {
  const target = join(folder, 'declarations');
  cpSync(join(declarationsDir, 'services'), join(target, 'services'), { recursive: true });
  cpSync(queries, join(target, 'queries'), { recursive: true });
  return target;
}

async function measure(
  workers: number,
  context: {
    postgres: { url: string; pid: number };
    kafka: KafkaServer;
    declarations: string;
  },
  expected: Expected,
): Promise<Result> {
  const { postgres, kafka, declarations } = context;
  const database = `analytics-${workers}`;
  await ensureDatabases(postgres.url, [database]);
  const url = databaseUrl(postgres.url, database);
  await migrate([{ url, database, schemaFolder: join(root, 'prisma/analytics') }]);
  const pool = new Pool({ connectionString: url, max: 2 });
  try {
    const drained = await drain({
      workers,
      events,
      pool,
      servers: { postgres: postgres.pid, broker: kafka.pid },
      env: {
        PORT: '0',
        HOST: '127.0.0.1',
        LOG_LEVEL: 'warn',
        KAFKA_BROKERS: kafka.connection.brokers.join(','),
        DATABASE_URL: url,
        MILLRACE_DECLARATIONS: declarations,
        NODE_COMPILE_CACHE: join(root, '.millrace/compile-cache'),
        MALLOC_ARENA_MAX: '2', // both as in the local run
      },
    });
    const faults = await differences(pool, expected);
    for (const fault of faults) console.log(`WRONG ${fault}`);
    const { seconds, publishedSeconds, cpu, peak } = drained;
    const cpuSeconds = cpu.workers + cpu.postgres + cpu.broker;
    const megabytes = (bytes: number) => Math.round(bytes / 2 ** 20);
    console.log(
      `${workers} worker${workers > 1 ? 's' : ' '}  ${Math.round(events / seconds)} events/s (${seconds.toFixed(1)} s, ` +
        `emissions in Kafka after ${publishedSeconds.toFixed(1)} s), CPU ${cpuSeconds.toFixed(1)} s ` +
        `(workers ${cpu.workers.toFixed(1)}, PostgreSQL ${cpu.postgres.toFixed(1)}, broker ${cpu.broker.toFixed(1)}), ` +
        `${Math.round(events / cpuSeconds)} events a CPU second, peak memory ${megabytes(peak.workers)} MB ` +
        `+ PostgreSQL ${megabytes(peak.postgres)} MB, ${faults.length === 0 ? 'windows right' : 'windows WRONG'}`,
    );
    return {
      events,
      eventsPerSecond: Math.round(events / seconds),
      cpuSeconds: Number(cpuSeconds.toFixed(1)),
      workerCpuSeconds: Number(cpu.workers.toFixed(1)),
      peakMb: megabytes(peak.workers + peak.postgres),
      correct: faults.length === 0,
      workers,
    };
  } finally {
    await pool.end();
  }
}

const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
chmodSync(folder, 0o755); // PostgreSQL may run as a user of its own
const ports = portsWith(3_300);
const { signal } = new AbortController();
const postgres = await startPostgres({ folder, port: ports.postgres });
try {
  const kafka = await startKafka({
    folder,
    cache: join(root, '.millrace'),
    port: ports.kafka,
    controllerPort: ports.kafkaController,
    env: process.env,
    say: console.log,
    signal,
  });
  try {
    await prepareTopics(kafka.connection, { services: eventServices(), say: () => undefined, signal });
    const began = performance.now();
    const expected = await fill(kafka.connection, 'order-events', events);
    console.log(`${events} events produced in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const declarations = declare(folder);
    const results: Result[] = [];
    for (const workers of workerCounts)
      results.push(
        await measure(
          workers,
          {
            postgres: { url: postgres.url, pid: postgres.pid! },
            kafka,
            declarations,
          },
          expected,
        ),
      );
    // a second worker makes little more of a machine with two processors, and takes as much memory again
    const best = results.toSorted((a, b) => a.cpuSeconds - b.cpuSeconds)[0]!;
    if (results.some(({ correct }) => !correct)) process.exitCode = 1;
    console.log(JSON.stringify(best));
  } finally {
    await kafka.stop();
  }
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}
