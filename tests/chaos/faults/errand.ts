import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import type { System } from '../system.ts';
import type { Errand } from './stranger.ts';

const stranger = fileURLToPath(new URL('stranger.ts', import.meta.url));

/** Lets somebody else's client of Kafka do something. @throws if it fails */
export async function send({ brokers }: System, errand: Errand): Promise<void> {
  await runNode([stranger], { KAFKAJS_NO_PARTITIONER_WARNING: '1' }, JSON.stringify({ brokers, errand }));
}

/** Runs a program of Node's. @throws if it fails, with its error */
export async function runNode(args: string[], env: Record<string, string>, input = ''): Promise<void> {
  const child = spawn(process.execPath, ['--no-warnings', ...args], {
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: 20_000,
    env: { ...process.env, ...env },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  child.stdin.on('error', () => undefined).end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return;
  throw new Error(/Error: .*/.exec(errors)?.[0] ?? (errors.trim().split('\n')[0] || `exit code ${code}`));
}
