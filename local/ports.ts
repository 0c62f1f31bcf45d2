import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { errorCode, Fault } from './fault.ts';

/**
 * Fails with a sentence if another process listens on the port.
 * @param owner the part of Millrace that needs it
 */
export async function assertPortFree(port: number, owner: string): Promise<void> {
  try {
    await listenBriefly(port);
  } catch (error) {
    throw portFault(error, port, owner);
  }
}

/** A process that keeps its port longer after the request to end is at a breakpoint or in an endless loop. */
const GIVEN_UP_WITHIN_MS = 1_000;

/**
 * Waits until no process listens on the port.
 * @param kill kills the listening process if it does not release the port soon
 * @throws Fault if that does not help
 */
export async function untilPortFree(port: number, owner: string, kill: () => void): Promise<void> {
  const began = performance.now();
  let isKilled = false;
  while (await accepts(port)) {
    const waited = performance.now() - began;
    if (waited > GIVEN_UP_WITHIN_MS && !isKilled) kill();
    isKilled = waited > GIVEN_UP_WITHIN_MS;
    if (waited > 5 * GIVEN_UP_WITHIN_MS) throw takenFault(port, owner);
    await delay(5);
  }
}

/** The first free port from there on. */
export async function firstFreePort(from: number): Promise<number> {
  let port = from;
  while (await accepts(port)) port += 1;
  return port;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function takenFault(port: number, owner: string, cause?: unknown): Fault {
  return new Fault(`Another process uses port ${port}, which ${owner} needs.`, {
    hint: 'Stop that process, or move all ports of Millrace: npm start -- --port-offset 1000',
    cause,
  });
}

/** The sentence for a port that cannot be opened; other errors pass through. */
function portFault(error: unknown, port: number, owner: string): unknown {
  const code = errorCode(error);
  if (code === 'EADDRINUSE') return takenFault(port, owner, error);
  if (code === 'EACCES')
    return new Fault(`This user may not open port ${port}, which ${owner} needs.`, { cause: error });
  return error;
}

async function listenBriefly(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}
