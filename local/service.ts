import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { get } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Fault } from './fault.ts';
import type { Running, Start } from './supervised.ts';
import type { Listener } from './listener.ts';
import { LineSplitter } from './log-format.ts';
import { nodeFlags } from '#platform/declarations';
import { untilPortFree } from './ports.ts';
import { endChild, removePidFile, writePidFile } from './process.ts';

const READY_WITHIN_MS = 60_000;
/** A service that answers requests, but whose other work fails so long after the first start, is left running. */
const HEALTHY_WITHIN_MS = 25_000;
const LIVENESS_EVERY_MS = 5_000;
/** A service that does not pass its liveness check so many times in a row is ended, and started again. */
const LIVENESS_FAILURES = 6;
/** Longer than the drain of a service. */
const STOP_WITHIN_MS = 10_000;

/** A service to run as a child process. */
export interface ServiceProcess {
  name: string;
  /** Its main.ts. */
  file: string;
  port: number;
  env: Record<string, string>;
  nodeFlags: string[];
  /** The port for debuggers. */
  inspectPort?: number | undefined;
  pidFile: string;
  onLine: (line: string) => void;
}

/** The process that runs a service of this clone. */
export function serviceProcess(
  { name, port, env }: { name: string; port: number; env: Record<string, string> },
  run: { root: string; data: string; inspectPort: number | undefined; listener: Listener },
): ServiceProcess {
  return {
    name,
    file: mainOf(run.root, name),
    port,
    env,
    nodeFlags: ['--no-warnings', ...nodeFlags(name)],
    inspectPort: run.inspectPort,
    pidFile: join(pidFolder(run.data), `${name}.pid`),
    onLine: (line) => run.listener.line(name, line),
  };
}

/** The main file of a service. */
export function mainOf(root: string, service: string): string {
  return join(root, 'services', service, 'main.ts');
}

/** The folder of the services' pid files. */
export function pidFolder(data: string): string {
  return join(data, 'services');
}

/**
 * Starts a service and waits until it is ready; at the first start, until all of its work is done, too. A replacement starts
 * beside the old process. When it is about to listen, it asks the old process to end, which drains while the new one already
 * serves. While it runs, it is ended when it gives no sign of life; but not because something that it uses is away.
 * @param warn gets a sentence if it is ready, but its other work fails
 * @throws Fault if it ends, or is not ready within a minute
 */
export async function startService(
  service: ServiceProcess,
  { signal, isRestart, replaceOld }: Start,
  warn: (line: string) => void,
): Promise<Running> {
  signal.throwIfAborted();
  // It has its own session, so that Ctrl-C in the terminal reaches only the runner; the channel tells the service when
  // the runner was killed.
  const child = spawn(process.execPath, [...flagsOf(service, replaceOld !== undefined), service.file], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...service.env },
  });
  let stopping = false;
  let liveness: NodeJS.Timeout | undefined;
  const died = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${service.name} could not be started: ${error.message}`));
    child.once('close', (code, killedBy) => {
      clearInterval(liveness);
      if (child.pid !== undefined) removePidFile(service.pidFile, child.pid);
      if (!stopping) resolve(`${service.name} ended (${killedBy ?? `exit code ${code}`})`);
    });
  });
  if (child.pid === undefined) throw new Fault(await died);
  readLines(child, service.onLine);

  const stop = async (): Promise<void> => {
    stopping = true;
    clearInterval(liveness);
    await endChild(child, 'SIGTERM', STOP_WITHIN_MS);
  };
  const running = { pid: child.pid, died, stop, kill: () => void child.kill('SIGKILL') };
  const failed = new AbortController();
  void died.then((sentence) => failed.abort(new Fault(`${sentence} before it was ready. Its log above says why.`)));
  const wanted = AbortSignal.any([signal, failed.signal]);
  let hasPlace = false;
  try {
    if (replaceOld) {
      await untilStandingBy(child, service.name, wanted);
      const old = replaceOld(running);
      hasPlace = true;
      for (const port of [service.port, service.inspectPort])
        if (port !== undefined) await untilPortFree(port, service.name, () => old?.kill());
      wanted.throwIfAborted();
      child.send('go');
    }
    mkdirSync(dirname(service.pidFile), { recursive: true });
    writePidFile(service.pidFile, child.pid);
    await (isRestart ? untilReady(service, wanted) : untilHealthy(service, wanted, warn));
    if (!stopping && service.inspectPort === undefined) liveness = watchLiveness(service, running, warn);
    return running;
  } catch (error) {
    if (!hasPlace || !signal.aborted) await stop();
    throw error;
  }
}

function flagsOf({ nodeFlags: ownFlags, inspectPort }: ServiceProcess, standsBy: boolean): string[] {
  const wanted = [...(standsBy ? ['standby'] : []), ...(inspectPort ? ['inspect'] : [])].join('&');
  return [
    ...ownFlags,
    ...(wanted ? ['--import', new URL(`preload.ts?${wanted}`, import.meta.url).href] : []),
    // The runner prints the address once, not each process.
    ...(inspectPort ? [`--inspect-port=127.0.0.1:${inspectPort}`, '--inspect-publish-uid=http'] : []),
  ];
}

/** Waits until a standby service needs its port. */
async function untilStandingBy(child: ChildProcess, name: string, signal: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(READY_WITHIN_MS);
  try {
    await once(child, 'message', { signal: AbortSignal.any([signal, late]) });
  } catch {
    signal.throwIfAborted();
    throw new Fault(`${name} did not listen within a minute.`);
  }
}

function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    const splitter = new LineSplitter(onLine);
    stream?.setEncoding('utf8').on('data', (text: string) => splitter.push(text));
    stream?.once('end', () => splitter.end());
  }
}

/** Waits until the service answers requests. */
async function untilReady({ name, port }: ServiceProcess, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const answer = await ask(port, '/readyz');
    signal.throwIfAborted();
    if (answer.status === 200) return;
    if (Date.now() > deadline)
      throw new Fault(`${name} was not ready within a minute; its health says: ${answer.body.slice(0, 500)}`);
    await delay(30);
  }
}

/** Waits until the service does all of its work; but not for long if it answers requests. */
async function untilHealthy(service: ServiceProcess, signal: AbortSignal, warn: (line: string) => void): Promise<void> {
  const deadline = Date.now() + HEALTHY_WITHIN_MS;
  let answer = await ask(service.port, '/health');
  while (answer.status !== 200 && Date.now() < deadline) {
    await delay(30, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
    answer = await ask(service.port, '/health');
  }
  signal.throwIfAborted();
  if (answer.status === 200) return;
  await untilReady(service, signal);
  // a service that starts slowly gives its reasons only now
  answer = await ask(service.port, '/health');
  if (answer.status !== 200) warn(`${service.name} answers requests, but ${reasonsOf(answer.body)}`);
}

/** What a health report says of the checks that fail. */
function reasonsOf(body: string): string {
  try {
    const { checks } = JSON.parse(body) as { checks: Record<string, { status: string; reason?: string }> };
    const failing = Object.entries(checks).filter(([, { status }]) => status !== 'UP');
    return failing.map(([name, { reason }]) => `${name}: ${reason}`).join('; ');
  } catch {
    return `its health says: ${body.slice(0, 500)}`;
  }
}

/** Kills a service that does not pass its liveness check, as Kubernetes does. Who stops at a breakpoint is not watched. */
function watchLiveness({ name, port }: ServiceProcess, running: Running, warn: (line: string) => void): NodeJS.Timeout {
  let failures = 0;
  let isAsking = false;
  return setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    void ask(port, '/livez').then(({ status, body }) => {
      isAsking = false;
      failures = status === 200 ? 0 : failures + 1;
      if (failures < LIVENESS_FAILURES) return;
      warn(
        `${name} is ended: it gave no sign of life for ${(failures * LIVENESS_EVERY_MS) / 1000} s (${body.slice(0, 300)})`,
      );
      running.kill();
    });
  }, LIVENESS_EVERY_MS);
}

async function ask(port: number, path: string): Promise<{ status: number; body: string }> {
  return await new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, timeout: 2_000, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.once('timeout', () => request.destroy(new Error('no answer within 2 s')));
    request.once('error', (error) => resolve({ status: 0, body: error.message }));
  });
}
