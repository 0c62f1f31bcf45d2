import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A wire to a server, which a fault can cut or let fall silent. */
export interface Proxy {
  port: number;
  /** Breaks all connections and every new one. */
  cut(): void;
  /** Carries nothing more and closes nothing: neither side learns of it. */
  silence(): void;
  /** Carries nothing more of the present connections, and all of new ones. */
  freeze(): void;
  /** Carries again. After a silence, what was sent meanwhile arrives, as TCP sends it again. */
  restore(): void;
  stop(): Promise<void>;
}

interface Pair {
  client: Socket;
  /** Undefined: the connection was opened in the silence. */
  upstream: Socket | undefined;
}

/** Starts a proxy to a server, on a free port of 127.0.0.1. */
export async function startProxy(host: string, port: number): Promise<Proxy> {
  const pairs = new Set<Pair>();
  let state: 'open' | 'cut' | 'silent' = 'open';

  const join = (pair: Pair): void => {
    const { client } = pair;
    const upstream = (pair.upstream ??= watched(connect({ host, port }), pair));
    client.pipe(upstream);
    upstream.pipe(client);
  };
  const watched = (socket: Socket, pair: Pair): Socket =>
    socket
      .setNoDelay(true)
      .on('error', () => undefined)
      .on('close', () => end(pair));
  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.client.destroy();
    pair.upstream?.destroy();
  };

  const freeze = (): void => {
    for (const { client, upstream } of pairs) {
      client.unpipe().pause();
      upstream?.unpipe().pause();
    }
  };

  const server = createServer((client) => {
    if (state === 'cut') {
      client.on('error', () => undefined).resetAndDestroy();
      return;
    }
    const pair: Pair = { client, upstream: undefined };
    pairs.add(pair);
    watched(client, pair);
    if (state === 'open') join(pair);
    else client.pause();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      state = 'cut';
      for (const { client, upstream } of pairs) {
        client.resetAndDestroy();
        upstream?.resetAndDestroy();
      }
    },
    silence() {
      state = 'silent';
      freeze();
    },
    freeze,
    restore() {
      const wasSilent = state === 'silent';
      state = 'open';
      if (wasSilent) for (const pair of pairs) join(pair);
    },
    async stop() {
      for (const pair of pairs) end(pair);
      server.close();
      await once(server, 'close');
    },
  };
}
