// Ends the process of a test file that does not end by itself, and prints what kept it alive, or where its event
// loop is blocked. `npm test` loads this before each test file.

import { writeSync } from 'node:fs';
import { after } from 'node:test';
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
let limit: NodeJS.Timeout | undefined;

/** Sets how long this test file may take. Without `npm test`, under `node --test`, there is no limit. */
export function allowSeconds(seconds: number): void {
  if (limit) setLimit(seconds);
}

function setLimit(seconds: number): void {
  endIn(seconds * 1_000 - performance.now(), `it took more than ${seconds} s`);
}

function endIn(ms: number, reason: string): void {
  clearTimeout(limit);
  limit = setTimeout(() => end(reason), ms).unref();
  Atomics.store(deadline, 0, process.hrtime.bigint() + BigInt(Math.round(ms)) * 1_000_000n);
  Atomics.notify(deadline, 0);
  announceDeadline(Date.now() + ms);
}

function end(reason: string): never {
  const kinds = Object.entries(Object.groupBy(process.getActiveResourcesInfo(), (kind) => kind));
  const lines = [
    `${process.argv[1]} was ended: ${reason}. This kept it alive:`,
    ...living().map(({ text }) => text),
    `in all: ${kinds.map(([kind, all]) => `${all!.length} ${kind}`).join(', ')}`,
  ];
  writeSync(process.stderr.fd, `${lines.join('\n')}\n`);
  process.exit(1);
}

// a process that a test forks with its own flags is not a test file
if (/\.test\.[cm]?[jt]s$/.test(process.argv[1] ?? '')) {
  setLimit(usualSeconds);
  after(() => endIn(graceSeconds * 1_000, `its tests were done, and ${graceSeconds} s later it was still there`));
  const workerData: Watched = { file: process.argv[1]!, deadline };
  // the thread must not load what this process preloads: that would be this file
  new Worker(new URL('watchdog.ts', import.meta.url), { workerData, execArgv: [] }).unref();
}
