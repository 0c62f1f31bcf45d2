import { connect } from 'node:net';

const METADATA = 3;
const CORRELATION_ID = 1;

/**
 * Asks a broker for the cluster's metadata, over a separate connection.
 * @returns the number of brokers of the cluster; 0 while it starts
 * @throws if no server answers at that address, or one that is not Kafka
 */
export async function probeBroker(host: string, port: number, timeoutMs: number): Promise<number> {
  const answer = await new Promise<Buffer>((resolve, reject) => {
    const socket = connect({ host, port });
    const chunks: Buffer[] = [];
    const finish = (error: Error | undefined, message?: Buffer): void => {
      socket.destroy();
      if (error) reject(error);
      else if (message) resolve(message);
    };
    socket.setTimeout(timeoutMs, () => finish(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('error', (error) => finish(error));
    socket.once('close', () => finish(new Error('the connection was closed')));
    socket.once('connect', () => socket.write(metadataRequest()));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const received = Buffer.concat(chunks);
      if (received.length < 4) return;
      const size = received.readInt32BE(0);
      if (size < 12 || size > 1 << 20) finish(new Error('what answers there is not Kafka'));
      else if (received.length >= size + 4) finish(undefined, received.subarray(4, size + 4));
    });
  });
  // Without a listener, the system can give the connection this port as its own, so that it receives its own request.
  if (answer.readInt32BE(0) !== CORRELATION_ID) throw new Error('what answers there is not Kafka');
  // Correlation id, then the array of brokers.
  return Math.max(0, answer.readInt32BE(4));
}

/** A Metadata request, version 1, for no topic: the smallest one that every Kafka from 0.10 to 4 answers. */
function metadataRequest(): Buffer {
  const request = Buffer.alloc(4 + 2 + 2 + 4 + 2 + 4);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(METADATA, 4);
  request.writeInt16BE(1, 6);
  request.writeInt32BE(CORRELATION_ID, 8);
  request.writeInt16BE(-1, 12);
  request.writeInt32BE(0, 14);
  return request;
}

/**
 * Splits `host:port,host:port`.
 * @returns undefined when any part is not a host and a port
 */
export function parseBrokers(list: string): { host: string; port: number }[] | undefined {
  const brokers: { host: string; port: number }[] = [];
  for (const part of list.split(',')) {
    const match = /^(?<host>\[[0-9a-fA-F:]+\]|[^\s:/]+):(?<port>\d{1,5})$/.exec(part.trim());
    const port = Number(match?.groups?.['port']);
    const host = match?.groups?.['host'];
    if (host === undefined || !(port >= 1 && port <= 65_535)) return undefined;
    brokers.push({ host: host.replace(/^\[|\]$/g, ''), port });
  }
  return brokers;
}
