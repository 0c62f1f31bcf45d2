import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before } from 'node:test';

import { PORTS, serviceUrl } from '#local/plan.ts';
import { root, start, temporaryFolder, untilPrinted, type Run } from '#test/npm-start.ts';
import { freePortOffset } from '#test/ports.ts';

/** A platform that `npm start` runs. */
export interface StartedPlatform {
  clone: string;
  data: string;
  offset(): number;
  run(): Run;
  /** Starts it again after its end. */
  start(): Promise<void>;
  /** The address of a service. */
  url(service: string): string;
  /** The address of the mail page. */
  mail(): string;
  servicePid(service: string): number;
}

/** The process that a file of `npm start` names. */
export const pidIn = (file: string): number => (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid;

/**
 * Starts the platform before the tests of the suite that calls it, and stops it after them.
 * @param clone the folder of the project
 * @param args options of `npm start`
 */
export function startedPlatform(clone: string = root, args: string[] = []): StartedPlatform {
  const data = temporaryFolder();
  let offset: number;
  let run: Run;
  const startAgain = async () => {
    run = start(['--port-offset', String(offset), '--data', data, ...args], { clone });
    await untilPrinted(run, 'Millrace is up after');
  };
  before(async () => {
    offset = await freePortOffset();
    await startAgain();
  });
  after(async () => {
    run.child.kill('SIGINT');
    await run.exited;
    rmSync(data, { recursive: true, force: true });
  });
  return {
    clone,
    data,
    offset: () => offset,
    run: () => run,
    start: startAgain,
    url: (service) => serviceUrl(service, offset),
    mail: () => `http://127.0.0.1:${PORTS.mail + offset}`,
    servicePid: (service) => pidIn(join(data, 'services', `${service}.pid`)),
  };
}
