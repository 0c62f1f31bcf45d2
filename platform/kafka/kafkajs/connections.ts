import { connect as connectTcp, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactory } from 'kafkajs';
import { PlatformError } from '#platform/errors';

const keepAliveMs = 60_000;

/** As kafkajs's own, but without Nagle's algorithm, which holds back the second of two small requests up to 40 ms. */
const openSocket: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // null where the connection is to be plain, whatever kafkajs's types say
  const tls = ssl as typeof ssl | null;
  const socket = tls
    ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...tls }, onConnect)
    : connectTcp({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
  return socket;
};

/**
 * The connections of one kafkajs client. After `disconnect` kafkajs connects again for what is asked for late or was still
 * being tried, and nobody closes that connection: so the end of a client is the end of its connections.
 */
export class Connections {
  readonly #open = new Set<Socket>();
  #closed = false;

  readonly socketFactory: ISocketFactory = (options) => {
    if (this.#closed) throw new PlatformError('ERR_KAFKA_CLOSED', 'the Kafka client was closed');
    const socket = openSocket(options);
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  };

  /** Closes what is open and opens nothing any more. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#open) {
      // the error ends what kafkajs still waits for, with its timers
      if (socket.writableEnded) socket.destroy();
      else socket.destroy(new PlatformError('ERR_KAFKA_CLOSED', 'the Kafka client was closed'));
    }
  }
}
