import { spawn } from 'node:child_process';
import { once } from 'node:events';

import type { Summary } from '../schedules/report.ts';
import type { Mutant } from './mutant.ts';

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

/** What became of a mutant. */
export interface Played {
  mutant: Pick<Mutant, 'schedules'>;
  /** undefined where the schedules did not run */
  summary: Pick<Summary, 'schedules' | 'anomalies'> | undefined;
}

export const isFound = ({ summary }: Played): boolean => (summary?.anomalies ?? 0) > 0;

/**
 * Whether a mutant counts against the schedules: one that they have to find and do not, or with which they did not run. Of another
 * one the list says why they do not find it.
 */
export const isMissed = (played: Played): boolean =>
  !played.summary || (played.mutant.schedules === true && !isFound(played));
