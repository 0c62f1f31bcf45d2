import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** How the named test ended: `none` where it did not run, be it that its file could not be loaded. */
export type Verdict = 'passed' | 'failed' | 'skipped' | 'late' | 'none';

export interface Outcome {
  verdict: Verdict;
  seconds: number;
  /** what the run printed, in the format TAP */
  output: string;
}

/** how long a test may take until it fails, in milliseconds */
const limitMs = 60_000;
/** how long a test may wait for one thing, in milliseconds: it fails by itself then, before its time is over */
const longestWaitMs = 40_000;
/** how long the run may go on after the test, in milliseconds: it cleans up */
const graceMs = 10_000;

const withoutResult: Record<Exclude<Verdict, 'passed' | 'failed'>, string> = {
  skipped: 'is skipped',
  late: `has no result after ${limitMs / 1_000} s`,
  none: 'did not run',
};

/**
 * Why a test finds no bug.
 * @param run whether the bug was in the code
 * @returns undefined where the run ended as it should
 */
export function faultOfRun(run: 'without' | 'with', verdict: Verdict): string | undefined {
  if (verdict === (run === 'with' ? 'failed' : 'passed')) return undefined;
  const what = verdict === 'passed' ? 'passes' : verdict === 'failed' ? 'fails' : withoutResult[verdict];
  return `the test ${what} ${run} the bug`;
}

/** A line of TAP with the result of a test or a suite. */
const result = /^\s*(not ok|ok) \d+ - (.*?)(?: # (SKIP|TODO).*)?$/;

/**
 * Runs one test of a file by itself, until it has a result or its time is over.
 * @param folder the project
 * @param options.signal ends the run
 * @param options.ms how long it may take; default `limitMs`
 * @param options.waitMs how long each `eventually` of it may take; default `longestWaitMs`
 */
export async function runTest(
  folder: string,
  { testFile, test }: { testFile: string; test: string },
  env: Record<string, string>,
  { signal, ms = limitMs, waitMs = longestWaitMs }: { signal: AbortSignal; ms?: number; waitMs?: number },
): Promise<Outcome> {
  const began = performance.now();
  const flags = ['--no-warnings', '--test', '--test-reporter=tap', `--test-name-pattern=^${RegExp.escape(test)}$`];
  // a group of its own, so that all of it can be ended
  const child = spawn(process.execPath, [...flags, testFile], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: {
      ...process.env,
      ...env,
      MILLRACE_TEST_LONGEST_WAIT_MS: String(waitMs),
      NODE_TEST_CONTEXT: undefined, // it is no part of another test
    },
  });
  const ended = once(child, 'close');
  const kill = () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL');
  };
  const found = Promise.withResolvers<Outcome>();
  const lines: string[] = [];
  const settle = (verdict: Verdict) =>
    found.resolve({ verdict, seconds: (performance.now() - began) / 1_000, output: lines.join('\n') });
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const [, state, name, directive] = result.exec(line) ?? [];
    if (name?.replaceAll(/\\([#\\])/g, '$1') !== test) return;
    if (directive === 'SKIP') settle('skipped');
    else settle(state === 'ok' ? 'passed' : 'failed');
  });
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  void ended.then(() => settle('none'));
  const limit = setTimeout(() => settle('late'), ms);
  signal.addEventListener('abort', kill, { once: true });
  const outcome = await found.promise;
  clearTimeout(limit);
  const grace = setTimeout(kill, outcome.verdict === 'late' ? 0 : graceMs);
  await ended;
  clearTimeout(grace);
  signal.removeEventListener('abort', kill);
  // with the lines after the result, which say why
  return { ...outcome, output: lines.join('\n') };
}
