// Kills test files that are still there after their time is over. A file ends itself then (time-limit.ts), but not where Node hangs
// at its exit, with a compiler's thread that waits for the main one: https://github.com/nodejs/node/issues/54918

import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isAlive } from '#local/process.ts';

const variable = 'MILLRACE_TEST_DEADLINES';

const checkMs = 1_000;

/** Says when this process, which runs this test file, is to be gone. @param at in milliseconds since 1970 */
export function announceDeadline(at: number, file: string): void {
  const folder = process.env[variable];
  if (folder !== undefined) writeFileSync(join(folder, String(process.pid)), `${at} ${file}`);
}

/**
 * Begins to watch.
 * @param slackMs how long after its time a file may still end itself
 * @returns the environment in which test files say when they are to be gone
 */
export function killOverdue(slackMs = 20_000): { env: Record<string, string>; stop(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'test-deadlines-'));
  const check = () => {
    for (const name of readdirSync(folder)) {
      const pid = Number(name);
      const [at = '', file] = readFileSync(join(folder, name), 'utf8').split(' ');
      const isOver = Date.now() > Number.parseInt(at) + slackMs; // not where it is just being written
      if (isAlive(pid) && !isOver) continue;
      rmSync(join(folder, name));
      if (!isAlive(pid)) continue;
      console.error(`${file} was killed: its time was over, and it did not end itself`);
      process.kill(pid, 'SIGKILL');
    }
  };
  const watch = setInterval(check, checkMs).unref();
  const stop = () => {
    clearInterval(watch);
    rmSync(folder, { recursive: true });
  };
  return { env: { [variable]: folder }, stop };
}
