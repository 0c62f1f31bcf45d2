import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/**
 * How a connection breaks at a statement. `answer-lost`: the server has executed it and answers, and the answer does not
 * arrive. `statement-passed`: the connection breaks when the server has the statement. `statement-lost`: the server does not
 * get it. `statement-late`: it gets the statement only after `release`. `answer-garbled`: the connection stays, and the first byte of
 * the answer arrives as one that no message of PostgreSQL begins with.
 */
export type Cut = 'answer-lost' | 'answer-garbled' | 'statement-passed' | 'statement-lost' | 'statement-late';

export interface CuttingProxy {
  /** the connection string of the server, by the proxy */
  url: string;
  /** breaks the next `times` connections that send `text`; `text` is in the statement, or is the name of a prepared one */
  cutAt(text: string, how: Cut, times?: number): void;
  /** forgets the cuts that have not happened */
  heal(): void;
  /** how many connections were cut or garbled */
  readonly cuts: number;
  /** sends the held statements to the server. @returns when it has answered them */
  release(): Promise<void>;
  close(): Promise<void>;
}

/** A proxy to PostgreSQL that breaks connections at a statement. */
export async function startCuttingProxy(url: string): Promise<CuttingProxy> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const held: (() => Promise<void>)[] = [];
  let armed: { text: string; how: Cut; times: number }[] = [];
  let cuts = 0;

  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    let cut: Cut | undefined;
    client.on('data', (chunk) => {
      const next = armed.find(({ text, times }) => times > 0 && chunk.includes(text));
      if (cut === undefined && next) {
        next.times -= 1;
        cuts += 1;
        cut = next.how;
      }
      if (cut === 'statement-late') held.push(() => deliver(upstream, chunk));
      else if (cut !== 'statement-lost') upstream.write(chunk);
      if (cut?.startsWith('statement-')) client.destroy();
    });
    upstream.on('data', (chunk) => {
      if (cut === 'answer-garbled') {
        chunk[0] = 0;
        cut = undefined;
      }
      if (cut === undefined) client.write(chunk);
      else client.destroy();
    });
    const isServerLeft = () => cut === 'statement-late' || cut === 'statement-passed';
    client.on('close', () => isServerLeft() || upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const own = new URL(url);
  own.hostname = '127.0.0.1';
  own.port = String((server.address() as AddressInfo).port);
  return {
    url: own.href,
    cutAt: (text, how, times = 1) => void armed.push({ text, how, times }),
    heal: () => void (armed = []),
    get cuts() {
      return cuts;
    },
    async release() {
      await Promise.all(held.splice(0).map((send) => send()));
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function deliver(upstream: Socket, chunk: Buffer): Promise<void> {
  const answered = once(upstream, 'data');
  upstream.write(chunk);
  await answered;
}
