import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { Fault } from './fault.ts';
import type { Running } from './supervised.ts';
import { LineSplitter } from './log-format.ts';
import { endChild, writePidFile } from './process.ts';

const READY_WITHIN_MS = 60_000;
/** Longer than a service takes for its own orderly end. */
const STOP_WITHIN_MS = 10_000;

/** A service to be run as a child process. */
export interface ServiceProcess {
  name: string;
  /** Its main.ts. */
  file: string;
  port: number;
  env: Record<string, string>;
  nodeFlags: string[];
  pidFile: string;
  onLine: (line: string) => void;
}

/**
 * Starts a service and waits until it says that it is ready.
 * @throws Fault when it ends, or is not ready for a minute
 */
export async function startService(service: ServiceProcess, signal: AbortSignal): Promise<Running> {
  signal.throwIfAborted();
  // In a session of its own, so that Ctrl-C in the terminal reaches the runner alone; the channel tells the service when
  // the runner was killed.
  const child = spawn(process.execPath, [...service.nodeFlags, service.file], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, ...service.env },
  });
  let stopping = false;
  const died = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${service.name} could not be started: ${error.message}`));
    child.once('close', (code, killedBy) => {
      rmSync(service.pidFile, { force: true });
      if (!stopping) resolve(`${service.name} ended (${killedBy ?? `exit code ${code}`})`);
    });
  });
  if (child.pid === undefined) throw new Fault(await died);
  mkdirSync(dirname(service.pidFile), { recursive: true });
  writePidFile(service.pidFile, child.pid);
  readLines(child, service.onLine);

  const stop = async (): Promise<void> => {
    stopping = true;
    await endChild(child, 'SIGTERM', STOP_WITHIN_MS);
  };
  const failed = new AbortController();
  void died.then((sentence) => failed.abort(new Fault(`${sentence} before it was ready. Its log above says why.`)));
  try {
    await untilReady(service, AbortSignal.any([signal, failed.signal]));
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid, died, stop, kill: () => void child.kill('SIGKILL') };
}

function readLines(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    const splitter = new LineSplitter(onLine);
    stream?.setEncoding('utf8').on('data', (text: string) => splitter.push(text));
    stream?.once('end', () => splitter.end());
  }
}

async function untilReady({ name, port }: ServiceProcess, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    const answer = await askHealth(port);
    signal.throwIfAborted();
    if (answer.status === 200) return;
    if (Date.now() > deadline)
      throw new Fault(`${name} was not ready within a minute; its health says: ${answer.body.slice(0, 500)}`);
    await delay(30);
  }
}

async function askHealth(port: number): Promise<{ status: number; body: string }> {
  return await new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path: '/health', timeout: 2_000, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.once('timeout', () => request.destroy(new Error('no answer within 2 s')));
    request.once('error', (error) => resolve({ status: 0, body: error.message }));
  });
}
