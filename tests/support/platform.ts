import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { eventServices } from '#platform/declarations';
import { eventually } from '#test/eventually.ts';
import { PORTS, serviceUrl } from '#local/plan.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Platform {
  /** the process that `npm start` runs */
  runner: ChildProcess;
  /** `http://127.0.0.1:port` of a service */
  url(service: string): string;
  mail: string;
  brokers: string;
  /** the superuser's connection string */
  postgres: string;
  /** seconds from the start of the runner until every service was ready */
  readyAfter: number;
  /** as Ctrl-C would; resolves with the exit code */
  stop(): Promise<number | null>;
}

export interface PlatformOptions {
  /** shifts every port, to run beside another platform */
  portOffset: number;
  /** the folder of its data */
  data: string;
  env?: NodeJS.ProcessEnv;
  /** prints its output */
  verbose?: boolean;
}

/**
 * Starts the whole platform as `npm start` does and waits until every service is ready.
 * @throws with its last lines if it ends or is not ready within 2 minutes
 */
export async function startPlatform({ portOffset, data, env, verbose = false }: PlatformOptions): Promise<Platform> {
  const begin = performance.now();
  const runner = spawn(process.execPath, ['local/main.ts', '--port-offset', String(portOffset), '--data', data], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const printed: string[] = [];
  for (const stream of [runner.stdout, runner.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (verbose) process.stderr.write(text);
      printed.push(text);
      if (printed.length > 400) printed.shift();
    });
  }
  const exit = once(runner, 'exit').then(([code]) => code as number | null);
  let ended = false;
  void exit.then(() => {
    ended = true;
  });
  const services = eventServices();
  const url = (service: string) => serviceUrl(service, portOffset, services);
  try {
    for (const { metadata } of services)
      await eventually(
        () => {
          if (ended) throw new Error('the platform ended');
          return isReady(url(metadata.name));
        },
        `${metadata.name} is ready`,
        120_000,
      );
  } catch (cause) {
    runner.kill('SIGINT');
    await exit;
    throw new Error(`${String(cause)}:\n${printed.join('').slice(-6_000)}`, { cause });
  }
  const readyAfter = (performance.now() - begin) / 1000;
  const password = readFileSync(`${data}/postgres.password`, 'utf8').trim();
  return {
    runner,
    url,
    mail: `http://127.0.0.1:${PORTS.mail + portOffset}`,
    brokers: `127.0.0.1:${PORTS.kafka + portOffset}`,
    postgres: `postgresql://postgres:${password}@127.0.0.1:${PORTS.postgres + portOffset}/postgres`,
    readyAfter,
    stop() {
      runner.kill('SIGINT');
      return exit;
    },
  };
}

async function isReady(base: string): Promise<boolean> {
  try {
    return (await fetch(`${base}/health`, { signal: AbortSignal.timeout(3_000) })).ok;
  } catch {
    return false;
  }
}
