import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

import { kafkaSettings } from './kafka-settings.ts';
import type { BrokerOptions, KafkaServer, SearchOptions } from './kafka.ts';

/** Whether a Docker engine answers; the command line tool alone is not enough. */
export function dockerAnswers(): boolean {
  const { status } = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 5_000 });
  return status === 0;
}

/** The container, and the volume of its data, that belong to a data folder. */
function dockerName(folder: string): string {
  return `millrace-kafka-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`;
}

/** Whether Docker, which answers, has data of the folder. */
export function hasVolume(folder: string): boolean {
  return spawnSync('docker', ['volume', 'inspect', dockerName(folder)]).status === 0;
}

/** Removes the container that a killed run left. */
export function removeContainer(folder: string): void {
  spawnSync('docker', ['rm', '--force', dockerName(folder)]);
}

/** Removes the container that a killed run left, and its data. */
export function forgetDockerKafka(folder: string): void {
  if (!dockerAnswers()) return;
  removeContainer(folder);
  spawnSync('docker', ['volume', 'rm', '--force', dockerName(folder)]);
}

/**
 * Fetches the broker's image if it is missing.
 * @returns a function that starts the container
 */
export async function startDockerKafka(
  version: string,
  options: BrokerOptions & SearchOptions,
): Promise<() => Promise<KafkaServer>> {
  const image = `apache/kafka:${version}`;
  if (spawnSync('docker', ['image', 'inspect', image]).status !== 0) {
    options.say(`Fetching ${image} with Docker (first run)`);
    const { code, errors } = await docker(['pull', '--quiet', image], options.signal);
    if (code !== 0) throw new Error(`Docker could not fetch ${image} (${errors.trim()})`);
  }
  const name = dockerName(options.folder);
  return async () => {
    const { code, errors } = await docker(runArguments(image, name, options));
    if (code !== 0) throw new Error(`Docker could not start ${image}: ${errors.trim()}`);
    let stopping = false;
    const died = docker(['wait', name]).then(() => `Kafka's container ${name} ended.`);
    return {
      connection: { brokers: [`127.0.0.1:${options.port}`] },
      origin: `Docker, ${image}`,
      died: new Promise((resolve) => void died.then((sentence) => !stopping && resolve(sentence))),
      stop: async () => {
        stopping = true;
        await docker(['stop', '--time', '10', name]);
        await died;
      },
      kill: () => removeContainer(options.folder),
    };
  };
}

/** The arguments of `docker run`. */
export function runArguments(image: string, name: string, options: BrokerOptions): string[] {
  const settings = kafkaSettings({ ...options, bind: '0.0.0.0', logDirs: '/var/lib/kafka/data' });
  const environment = Object.entries(settings).flatMap(([key, value]) => [
    '--env',
    `KAFKA_${key.replaceAll('.', '_').toUpperCase()}=${value}`,
  ]);
  const heap = ['--env', 'KAFKA_HEAP_OPTS=-Xms64m -Xmx160m'];
  const ports = ['--publish', `127.0.0.1:${options.port}:${options.port}`];
  const volume = ['--volume', `${name}:/var/lib/kafka/data`];
  return ['run', '--rm', '--detach', '--name', name, ...ports, ...volume, ...heap, ...environment, image];
}

/** Runs the command line tool to its end. It has its own session, because Ctrl-C in the terminal must not end `docker wait`. */
async function docker(args: string[], signal?: AbortSignal): Promise<{ code: number | null; errors: string }> {
  const child = spawn('docker', args, {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal && { signal }),
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk));
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: -1, errors: error.message }));
    child.once('close', (code) => resolve({ code, errors }));
  });
}
