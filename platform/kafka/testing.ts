import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka, OutgoingMessage, Producer } from './port.ts';

/** Resolves with the first truthy answer. @throws if there is none in time */
export async function eventually<T>(
  check: () => T | Promise<T>,
  what: string,
  withinMs = 15_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await check();
    if (answer) return answer as NonNullable<Exclude<T, false>>;
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(10);
  }
}

/** A proxy to a server. While it is cut, connections break and new ones are refused. */
export async function startProxy(host: string, port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host, port });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    }
    client.on('close', () => upstream.destroy()).pipe(upstream);
    upstream.on('close', () => client.destroy()).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const cut = async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port: address.port,
    cut,
    async restore() {
      server.listen(address.port, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}

/** A Kafka with only a producer, which fails as the test says and keeps the sent messages. */
export function fakeKafka(partitions = 6) {
  const sent: { topic: string; partition: number; message: OutgoingMessage }[] = [];
  let failure: ((topic: string, partition: number) => Error | undefined) | undefined;
  const producer: Producer = {
    partitionsOf: () => Promise.resolve(partitions),
    partitionFor: (_, key) => Promise.resolve(Number(key) % partitions),
    send(topic, partition, messages) {
      const error = failure?.(topic, partition);
      if (error) return Promise.reject(error);
      if ('bytes' in messages) return Promise.reject(new Error('this producer takes plain messages only'));
      sent.push(...messages.map((message) => ({ topic, partition, message })));
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
  return {
    sent,
    kafka: { producer: () => Promise.resolve(producer) } as unknown as Kafka,
    /** @param answer returns the error of a send, or undefined */
    failWith(answer: typeof failure) {
      failure = answer;
    },
  };
}
