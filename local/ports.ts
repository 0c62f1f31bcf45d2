import { randomInt } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';

import { errorCode, Fault } from './fault.ts';

/** From here on systems give ports to connections that go out: a server that listens there may find its port taken. */
export const FIRST_EPHEMERAL = 32_768;

/** A port of 127.0.0.1 that nothing listens on right now, and that no connection is given either. */
export async function freePort(): Promise<number> {
  for (;;) {
    try {
      return await listenBriefly(randomInt(10_000, FIRST_EPHEMERAL));
    } catch (error) {
      if (errorCode(error) !== 'EADDRINUSE') throw error;
    }
  }
}

/**
 * Fails with a sentence when something else listens on the port.
 * @param owner which part of Millrace wants it
 */
export async function assertPortFree(port: number, owner: string): Promise<void> {
  try {
    await listenBriefly(port);
  } catch (error) {
    throw portFault(error, port, owner);
  }
}

/** The sentence for a port that could not be had; other errors pass through. */
export function portFault(error: unknown, port: number, owner: string): unknown {
  const code = errorCode(error);
  if (code === 'EADDRINUSE')
    return new Fault(`Port ${port}, which ${owner} listens on, is taken by another process.`, {
      hint: 'Stop that process, or move all ports of Millrace: npm start -- --port-offset 1000',
      cause: error,
    });
  if (code === 'EACCES')
    return new Fault(`Port ${port}, for ${owner}, may not be opened by this user.`, { cause: error });
  return error;
}

async function listenBriefly(port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return bound;
}
