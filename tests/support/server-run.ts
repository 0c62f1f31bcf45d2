import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { forgetKafka, startKafka } from '#local/kafka.ts';
import { forgetPostgres, startPostgres } from '#local/postgres.ts';
import { runningPid, writePidFile } from '#local/process.ts';
import type { StopRequests } from '#local/signals.ts';

import { freePort } from './ports.ts';

/** The folder with the state of test runs. */
export const state = fileURLToPath(new URL('../../.millrace', import.meta.url));

/**
 * Test data may be lost in a power cut; test files use more connections than services. PostgreSQL drops no database while a login stands
 * still, which tests with proxies cause.
 */
const TEST_SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '300',
  authentication_timeout: '5s',
};

/** A running PostgreSQL and Kafka. */
export interface Servers {
  /** the environment with which test files find them */
  env: Record<string, string>;
  stop(): Promise<void>;
}

/** Starts a PostgreSQL and a Kafka with their data in the folder. */
export async function startServers(
  folder: string,
  ports: { postgres: number; kafka: number; controller: number },
  requests: StopRequests,
): Promise<Servers> {
  mkdirSync(folder, { recursive: true });
  writePidFile(join(folder, 'owner.pid'), process.pid);
  const cancelled = new AbortController();
  void requests.first.then(() => cancelled.abort());
  const started = await Promise.allSettled([
    startPostgres({ folder, port: ports.postgres, settings: TEST_SETTINGS }),
    startKafka({
      folder,
      port: ports.kafka,
      controllerPort: ports.controller,
      cache: state,
      env: process.env,
      say: (line) => console.error(line),
      signal: cancelled.signal,
    }),
  ]);
  const stop = async (): Promise<void> => {
    for (const server of started) if (server.status === 'fulfilled') await server.value.stop();
    await forget(folder);
  };
  const [postgres, kafka] = started;
  if (postgres.status === 'rejected' || kafka.status === 'rejected') {
    await stop();
    throw postgres.status === 'rejected' ? postgres.reason : (kafka as PromiseRejectedResult).reason;
  }
  return {
    env: { MILLRACE_TEST_POSTGRES: postgres.value.url, MILLRACE_TEST_KAFKA: kafka.value.connection.brokers.join(',') },
    stop,
  };
}

/** Starts the servers of one test run, on free ports. */
export async function startOwnServers(requests: StopRequests): Promise<Servers> {
  const ports = { postgres: await freePort(), kafka: await freePort(), controller: await freePort() };
  mkdirSync(state, { recursive: true });
  const folder = mkdtempSync(join(state, 'test-'));
  // PostgreSQL may run as a user of its own.
  chmodSync(folder, 0o755);
  return await startServers(folder, ports, requests);
}

/** Starts the PostgreSQL of a run that needs no Kafka. */
export async function startOwnPostgres(): Promise<Servers> {
  mkdirSync(state, { recursive: true });
  const folder = mkdtempSync(join(state, 'test-'));
  chmodSync(folder, 0o755);
  writePidFile(join(folder, 'owner.pid'), process.pid);
  const postgres = await startPostgres({ folder, port: await freePort(), settings: TEST_SETTINGS });
  return {
    env: { MILLRACE_TEST_POSTGRES: postgres.url, MILLRACE_TEST_KAFKA: 'none' },
    stop: async () => {
      await postgres.stop();
      await forget(folder);
    },
  };
}

async function forget(folder: string): Promise<void> {
  await Promise.all([forgetPostgres({ folder }), forgetKafka({ folder })]);
  rmSync(folder, { recursive: true, force: true });
}

/** Stops servers and removes data of test runs that were killed. */
export async function forgetKilledRuns(): Promise<void> {
  if (!existsSync(state)) return;
  for (const name of readdirSync(state).filter((entry) => entry.startsWith('test-')))
    if (runningPid(join(state, name, 'owner.pid')) === undefined) await forget(join(state, name));
}
