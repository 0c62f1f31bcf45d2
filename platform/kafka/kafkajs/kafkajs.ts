import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Admin, ISocketFactory } from 'kafkajs';
import type { Logger } from '#platform/telemetry';
import { KafkaJsAdmin } from './admin.ts';
import { KafkaJsConsumer } from './consumer.ts';
import { kafkajsLog } from './logging.ts';
import { answersOf, kafkajs } from './patches.ts';
import { KafkaJsProducer, chosenPartition } from './producer.ts';
import { KafkaUnreachable, sendTimeoutMs } from '../errors.ts';
import type { Kafka, Producer } from '../port.ts';

const connectionTimeoutMs = 2_000;
const keepAliveMs = 60_000;

/** Like kafkajs's own, but without Nagle's algorithm, which delays the second of two small requests by up to 40 ms. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // null for a connection without TLS, although kafkajs's types do not say so
  const tls = ssl as typeof ssl | null;
  const socket = tls
    ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...tls }, onConnect)
    : connectTcp({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
  return socket;
};

/** How to connect to Kafka. */
export interface KafkaConnection {
  /** `host:port` of some brokers, which name the others */
  brokers: string[];
  /** our credentials, if the brokers ask for them: SCRAM-SHA-512 does not send the password */
  sasl?: { username: string; password: string };
  /** connects over TLS, and trusts the brokers' certificates that these authorities have signed: one or more in PEM */
  ca?: string;
}

export interface KafkaOptions extends KafkaConnection {
  /** the name of this process in the brokers' logs and quotas */
  clientId: string;
  log: Logger;
}

/** Kafka over kafkajs; it connects when it is used. */
export function createKafka({ brokers, sasl, ca, clientId, log }: KafkaOptions): Kafka {
  const common = {
    brokers,
    clientId,
    ...(sasl && { sasl: { mechanism: 'scram-sha-512', ...sasl } as const }),
    ...(ca !== undefined && { ssl: { ca } }),
    connectionTimeout: connectionTimeoutMs,
    socketFactory,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: kafkajsLog(log),
  };
  const client = new kafkajs.Kafka({
    ...common,
    requestTimeout: 15_000,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 },
  });
  // the producer retries itself, within the time of a send
  const sender = new kafkajs.Kafka({ ...common, requestTimeout: sendTimeoutMs / 2, retry: { retries: 0 } });
  const closing: (() => Promise<void>)[] = [];

  let admin: Promise<Admin> | undefined;
  const openAdmin = () => connected(client.admin(), brokers);
  const connectAdmin = (): Promise<Admin> => {
    admin ??= openAdmin().catch((error: unknown) => {
      admin = undefined;
      throw error;
    });
    return admin;
  };

  return {
    admin: new KafkaJsAdmin(connectAdmin, openAdmin),
    async producer(): Promise<Producer> {
      const sending = sender.producer({
        allowAutoTopicCreation: false,
        idempotent: false,
        createPartitioner: chosenPartition,
      });
      await connected(sending, brokers);
      const producer = new KafkaJsProducer(sending, connectAdmin, answersOf);
      closing.push(() => producer.close());
      return producer;
    },
    consumer(options) {
      const consumer = new KafkaJsConsumer(client, options, log);
      closing.push(() => consumer.stop());
      return consumer;
    },
    async check() {
      const asking = await connectAdmin();
      await reach(brokers, asking.describeCluster());
    },
    async close() {
      await Promise.all(closing.map((close) => close()));
      await (await admin?.catch(() => undefined))?.disconnect();
    },
  };
}

async function connected<T extends { connect(): Promise<void> }>(client: T, brokers: string[]): Promise<T> {
  await reach(brokers, client.connect());
  return client;
}

async function reach<T>(brokers: string[], answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new KafkaUnreachable(`no Kafka broker answers at ${brokers.join(', ')}: ${reason}`, { cause });
  }
}
