// A server that listens and accepts nothing, in a thread of its own: the event loop of a test would accept what comes. This file is
// both the thread and what starts it.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { parentPort, Worker, workerData } from 'node:worker_threads';

/** How many connections Linux keeps until they are accepted: one more than the backlog. It ignores further ones. */
const kept = 2;

/** What the threads tell each other. */
const mayAccept = 0;
const hasAccepted = 1;
const cells = 2;

/** how long a test waits for the thread, in milliseconds */
const answerMs = 5_000;

if (parentPort) {
  const port = parentPort;
  const shared = workerData as Int32Array<SharedArrayBuffer>;
  let accepted = 0;
  const server = createServer((_, response) => response.end('here')).on('connection', () => {
    accepted += 1;
    if (accepted !== kept) return;
    Atomics.store(shared, hasAccepted, 1);
    Atomics.notify(shared, hasAccepted);
  });
  server.listen({ port: 0, host: '127.0.0.1', backlog: kept - 1 }, () => {
    port.postMessage((server.address() as AddressInfo).port);
    Atomics.wait(shared, mayAccept, 0);
  });
}

/**
 * Starts an HTTP server that answers `here`, with as many waiting connections as the system keeps. A further one is not refused and not
 * made: only on Linux.
 * @returns `accept` lets it accept, and returns when those that waited are accepted
 */
export async function startWithFullBacklog(t: TestContext): Promise<{ url: string; accept: () => void }> {
  const shared = new Int32Array(new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT));
  const thread = new Worker(new URL(import.meta.url), { workerData: shared, execArgv: ['--no-warnings'] });
  const accept = () => {
    Atomics.store(shared, mayAccept, 1);
    Atomics.notify(shared, mayAccept);
    Atomics.wait(shared, hasAccepted, 0, answerMs);
  };
  const [port] = (await once(thread, 'message')) as [number];
  const waiting = Array.from({ length: kept }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(async () => {
    for (const socket of waiting) socket.destroy();
    accept();
    await thread.terminate();
  });
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  return { url: `http://127.0.0.1:${port}`, accept };
}
