import { once } from 'node:events';
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const sweepMs = 50;

/** The start and the end of a server. */
export interface Draining {
  /**
   * resolves with the port when the server accepts connections
   * @param trustedHosts further names of a server that only this machine reaches, separated by commas; default: none
   */
  listen: (port: number, host: string, trustedHosts?: string) => Promise<number>;
  /** stops accepting connections, finishes the running requests, then closes */
  close: () => Promise<void>;
}

/** Makes a server drain: it finishes every request that it has accepted. */
export function drainable(server: Server): Draining {
  return {
    async listen(port, host) {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },
    async close() {
      const closed = once(server, 'close');
      // the close of an HTTP server ends idle connections at once, and a request may be on its way on one of them
      NetServer.prototype.close.call(server);
      // A connection with a running request becomes idle only later, and its client can keep it open. An immediate runs after what
      // has arrived is read: a timer runs before, and on a busy machine a request can wait unread on a connection that seems idle.
      const sweep = setInterval(() => setImmediate(() => server.closeIdleConnections()), sweepMs);
      await closed;
      clearInterval(sweep);
      server.close(); // ends its timer
    },
  };
}
