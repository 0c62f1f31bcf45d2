// Ends the process of a test file that does not end by itself, and prints what kept it alive, or where its event
// loop is blocked. `npm test` loads this before each test file.

import { writeSync } from 'node:fs';
import { after, afterEach, beforeEach } from 'node:test';
import { Worker } from 'node:worker_threads';

import { watchResources } from './alive.ts';
import { announceDeadline } from './overdue.ts';
import type { Watched } from './watchdog.ts';

/** How long a file may take, in seconds, unless it calls `allowSeconds`. */
const usualSeconds = process.env['STREAMS_LONG'] ? 3_600 : 240;
/** How long a process may run after its tests, in seconds. */
const graceSeconds = 10;

const deadline = new BigInt64Array(new SharedArrayBuffer(8));
const living = watchResources();
/** The tests under way, by their full names. */
const running = new Set<string>();
let limit: NodeJS.Timeout | undefined;
let watchdog: Worker | undefined;
let file = process.argv[1] ?? '';
/** When the file began, in milliseconds since the start of this process. */
let began = 0;

/** Sets how long this test file may take. Without `npm test`, under `node --test`, there is no limit. */
export function allowSeconds(seconds: number): void {
  if (limit) setLimit(seconds);
}

/** Says that the tests of another file begin, in a process of several. */
export function beginFile(next: string): void {
  if (!limit) return;
  setFile(next);
  began = performance.now();
  setLimit(usualSeconds);
}

function setFile(next: string): void {
  file = next;
  watchdog?.postMessage(file);
}

function setLimit(seconds: number): void {
  endIn(began + seconds * 1_000 - performance.now(), `it took more than ${seconds} s`);
}

function endIn(ms: number, reason: string): void {
  clearTimeout(limit);
  limit = setTimeout(() => end(reason), ms).unref();
  Atomics.store(deadline, 0, process.hrtime.bigint() + BigInt(Math.round(ms)) * 1_000_000n);
  Atomics.notify(deadline, 0);
  announceDeadline(Date.now() + ms, file);
}

function end(reason: string): never {
  const kinds = Object.entries(Object.groupBy(process.getActiveResourcesInfo(), (kind) => kind));
  const lines = [
    `${file} was ended: ${reason}.${running.size > 0 ? ` It was in: ${[...running].join('; ')}.` : ''} This kept it alive:`,
    ...living().map(({ text }) => text),
    `in all: ${kinds.map(([kind, all]) => `${all!.length} ${kind}`).join(', ')}`,
  ];
  writeSync(process.stderr.fd, `${lines.join('\n')}\n`);
  process.exit(1);
}

const isTestFile = /(\.test|\/shared-process)\.[cm]?[jt]s$/.test(file);

// a process that a test forks with its own flags is not a test file
if (isTestFile) {
  setLimit(usualSeconds);
  beforeEach((context) => void running.add(context.fullName));
  afterEach((context) => void running.delete(context.fullName));
  after(() => {
    setFile(process.argv[1]!);
    endIn(graceSeconds * 1_000, `its tests were done, and ${graceSeconds} s later it was still there`);
  });
  const workerData: Watched = { file, deadline };
  // the thread must not load what this process preloads: that would be this file
  watchdog = new Worker(new URL('watchdog.ts', import.meta.url), { workerData, execArgv: [] });
  watchdog.unref();
}
