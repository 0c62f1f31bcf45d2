import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

import { endProcess, waitUntilGone } from '#local/process.ts';

import { listBelow } from '../processes.ts';

/** The result of an npm script. */
export interface Ended {
  code: number;
  /** its whole output */
  output: string;
}

/**
 * Runs an npm script of a checkout to its end.
 * @param options.log the file for its output; a pipe would stay open until every process that it has left ends
 * @param options.signal stops it, as Ctrl-C in a terminal does, and then all processes that it has left
 * @throws the signal's reason
 */
export async function runScript(
  checkout: string,
  script: string,
  args: string[],
  options: { log: string; env?: Record<string, string>; signal: AbortSignal },
): Promise<Ended> {
  options.signal.throwIfAborted();
  const npm = process.env['npm_execpath'];
  const [program, ...first] = npm === undefined ? ['npm'] : [process.execPath, npm];
  const log = openSync(options.log, 'w');
  const child = spawn(program!, [...first, 'run', '--silent', script, '--', ...args], {
    cwd: checkout,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
    detached: true, // its own process group, which gets the signals
  });
  closeSync(log);
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
  let stopping: Promise<void> | undefined;
  const stop = (): void => {
    const isRunning = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    if (isRunning) stopping = endTree(child.pid!);
  };
  options.signal.addEventListener('abort', stop);
  try {
    const code = await exited;
    await stopping;
    options.signal.throwIfAborted();
    return { code, output: readFileSync(options.log, 'utf8') };
  } finally {
    options.signal.removeEventListener('abort', stop);
  }
}

/**
 * Ends a process group, and its descendants in other groups. The platform stops its servers on a signal, but a bench that
 * ends too early leaves them.
 */
async function endTree(leader: number): Promise<void> {
  const all = listBelow(leader);
  const members = all.filter(({ group }) => group === leader);
  process.kill(-leader, 'SIGINT');
  await Promise.all(members.map(({ pid }) => waitUntilGone(pid, 20_000)));
  await Promise.all(all.map(({ pid }) => endProcess(pid, 'SIGTERM', 10_000)));
}
