import { createServer } from 'node:net';

import { errorCode, Fault } from './fault.ts';

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
function portFault(error: unknown, port: number, owner: string): unknown {
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

async function listenBriefly(port: number): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}
