import { spawn } from 'node:child_process';
import { once } from 'node:events';

import type { Summary } from '../schedules/report.ts';

/** the seeds that have to find a mutant: from the first one on, so that two runs are the same */
export const seeds = 100;

/**
 * Plays the schedules of these seeds, until one of them has an anomaly.
 * @param folder the project
 * @returns their sums; undefined where they did not run
 */
export async function runSchedules(
  folder: string,
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<{ summary: Summary | undefined; output: string }> {
  const args = ['tests/schedules/main.ts', '--seed', '1', '--schedules', String(seeds), '--stop'];
  const child = spawn(process.execPath, ['--no-warnings', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  await once(child, 'close');
  signal.removeEventListener('abort', kill);
  const last = output.trim().split('\n').at(-1) ?? '';
  return { summary: last.startsWith('{"schedules"') ? (JSON.parse(last) as Summary) : undefined, output };
}
