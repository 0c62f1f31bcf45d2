import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Pool } from 'pg';
import { nodeFlags } from '#platform/declarations';
import { memoryBelow } from '../memory.ts';
import { cpuSeconds, listBelow } from '../processes.ts';

const service = fileURLToPath(new URL('../../services/analytics/main.ts', import.meta.url));

const pollMs = 50;
/** reading the memory of all of PostgreSQL's processes takes milliseconds, which would be missing elsewhere */
const sampleMs = 250;
const withinMs = 600_000;

export interface DrainOptions {
  workers: number;
  /** events in the topic */
  events: number;
  pool: Pool;
  /** of the analytics service */
  env: Record<string, string>;
  /** the servers' processes */
  servers: { postgres: number; broker: number | undefined };
}

/** The cost of draining the topic. CPU seconds are the sum of user and system time. */
export interface Drained {
  /** from the start of the workers until everything was committed */
  seconds: number;
  /** until everything that was emitted was in Kafka, too */
  publishedSeconds: number;
  /** until then */
  cpu: { workers: number; postgres: number; broker: number };
  /** the workers' peak resident memory, and PostgreSQL's highest proportional set as sampled, in bytes */
  peak: { workers: number; postgres: number };
}

/** Starts workers on an empty database and waits until they have handled every event of the topic. */
export async function drain({ workers, events, pool, env, servers }: DrainOptions): Promise<Drained> {
  const cpuBefore = serverCpu(servers);
  const begin = performance.now();
  const children = Array.from({ length: workers }, () =>
    spawn(process.execPath, ['--no-warnings', ...nodeFlags('analytics'), service], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }),
  );
  try {
    let postgresPeak = 0;
    let sampleAt = 0;
    const until = async (isDone: () => Promise<boolean>): Promise<number> => {
      while (!(await isDone())) {
        if (children.some(({ exitCode }) => exitCode !== null)) throw new Error('a worker ended');
        if (performance.now() - begin > withinMs) throw new Error('the topic was not drained in time');
        if (performance.now() >= sampleAt) {
          const pss = memoryBelow(servers.postgres).reduce((sum, use) => sum + use.pss, 0);
          postgresPeak = Math.max(postgresPeak, pss);
          sampleAt = performance.now() + sampleMs;
        }
        await delay(pollMs);
      }
      return (performance.now() - begin) / 1000;
    };
    const seconds = await until(async () => (await handled(pool)) >= events);
    const publishedSeconds = await until(async () => (await unpublished(pool)) === 0);
    const cpuAfter = serverCpu(servers);
    return {
      seconds,
      publishedSeconds,
      cpu: {
        workers: children.reduce((sum, child) => sum + ownCpu(child), 0),
        postgres: cpuAfter.postgres - cpuBefore.postgres,
        broker: cpuAfter.broker - cpuBefore.broker,
      },
      peak: { workers: children.reduce((sum, child) => sum + peakMemory(child), 0), postgres: postgresPeak },
    };
  } finally {
    for (const child of children) child.kill('SIGTERM');
    await Promise.all(children.map((child) => (child.exitCode === null ? once(child, 'exit') : Promise.resolve())));
  }
}

async function handled(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: string }>(
    `SELECT coalesce(sum(next_offset), 0) AS n FROM millrace.inbox_offsets WHERE topic = 'order-events'`,
  );
  return Number(rows[0]!.n);
}

async function unpublished(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM millrace.outbox_shards s
     WHERE EXISTS (SELECT FROM millrace.outbox o WHERE o.shard = s.shard AND (o.xid, o.id) > (s.xid, s.id))`,
  );
  return rows[0]!.n;
}

function serverCpu({ postgres, broker }: DrainOptions['servers']): { postgres: number; broker: number } {
  const sum = (pid: number | undefined) =>
    pid === undefined ? 0 : listBelow(pid).reduce((seconds, process) => seconds + cpuSeconds(process), 0);
  return { postgres: sum(postgres), broker: sum(broker) };
}

function ownCpu(child: ChildProcess): number {
  return listBelow(child.pid!).reduce((seconds, process) => seconds + cpuSeconds(process), 0);
}

function peakMemory(child: ChildProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}
