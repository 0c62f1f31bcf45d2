import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

const sweepMs = 50;

/** When a server begins and how it ends. */
export interface Draining {
  /** resolves with the port when connections are accepted */
  listen: (port: number, host: string) => Promise<number>;
  /** stops accepting, finishes what is under way, then closes */
  close: () => Promise<void>;
}

/** The life of a server that drains: nothing that it has accepted is cut off. */
export function drainable(server: Server): Draining {
  return {
    async listen(port, host) {
      server.listen(port, host);
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      // a connection whose last answer was under way when the drain began is idle only later, and its client may keep it
      const sweep = setInterval(() => server.closeIdleConnections(), sweepMs);
      await closed;
      clearInterval(sweep);
    },
  };
}
