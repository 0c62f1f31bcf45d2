// Runs of `npm start`, and clones to run it in.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdtempSync, readdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { eventually } from './eventually.ts';

/** The project under test. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Other tests may keep the machine busy. */
export const withinMs = 120_000;

/** A run of `npm start`. */
export interface Run {
  child: ChildProcess;
  output(): string;
  exited: Promise<number | null>;
}

/**
 * Runs `npm start`.
 * @param clone the folder of the project
 */
export function start(
  args: string[],
  { clone = root, env = {} }: { clone?: string; env?: Record<string, string> } = {},
): Run {
  const inherited = { ...process.env };
  // The broker of the tests is not the platform's.
  for (const name of ['KAFKA_BROKERS', 'NODE_TEST_CONTEXT', 'NODE_COMPILE_CACHE']) delete inherited[name];
  const child = spawn(process.execPath, ['local/start.mjs', 'start', ...args], {
    cwd: clone,
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
  return { child, output: () => output, exited: once(child, 'close').then(([code]) => code as number | null) };
}

/** Waits for an output of a run; fails if the run ends before. */
export async function untilPrinted(run: Run, text: string, from = 0): Promise<void> {
  await eventually(() => run.output().includes(text, from) || run.child.exitCode !== null, run.output, withinMs);
  assert.ok(run.output().includes(text, from), run.output());
}

/** A new folder for data or a clone. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-start-'));
  // PostgreSQL may run as a user of its own.
  chmodSync(folder, 0o755);
  return folder;
}

/** A clone of the present project, whose sources a test may change. */
export function makeClone(): string {
  const clone = temporaryFolder();
  for (const name of readdirSync(root))
    if (!name.startsWith('.') && name !== 'node_modules')
      cpSync(join(root, name), join(clone, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'));
  // The list of the broker's jars, which Maven takes long to find.
  cpSync(join(root, '.millrace'), join(clone, '.millrace'), {
    recursive: true,
    filter: (path) => path.endsWith('.millrace') || path.endsWith('.classpath'),
  });
  return clone;
}
