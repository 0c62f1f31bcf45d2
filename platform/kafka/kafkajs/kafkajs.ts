import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Admin, ISocketFactory } from 'kafkajs';
import { messageOf } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { Administration } from './admin.ts';
import { RestartingConsumer } from './consumer.ts';
import { kafkajsLog } from './logging.ts';
import { answersOf, kafkajs } from './patches.ts';
import { SafeProducer, chosenPartition } from './producer.ts';
import { KafkaUnreachable, sendTimeoutMs } from '../errors.ts';
import type { Kafka, Producer } from '../port.ts';

const connectionTimeoutMs = 2_000;
const keepAliveMs = 60_000;

/** As kafkajs's own, but without Nagle's algorithm, which holds back the second of two small requests up to 40 ms. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // null where the connection is to be plain, whatever kafkajs's types say
  const tls = ssl as typeof ssl | null;
  const socket = tls
    ? connectTls({ host, port, ...(!isIP(host) && { servername: host }), ...tls }, onConnect)
    : connectTcp({ host, port }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
  return socket;
};

/** Where Kafka is and how it is reached. */
export interface KafkaConnection {
  /** `host:port` of some brokers; the others are learnt from them */
  brokers: string[];
  /** who we are, where the brokers ask: by SCRAM-SHA-512, which does not show them the password */
  sasl?: { username: string; password: string };
  /** connects over TLS, and trusts the brokers whose certificates these have signed: one or more in PEM */
  ca?: string;
}

export interface KafkaOptions extends KafkaConnection {
  /** names this process in the brokers' logs and quotas */
  clientId: string;
  log: Logger;
}

/** Kafka over kafkajs; nothing is connected before it is used. */
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
  // the producer makes its attempts itself, within the time of a send
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
    admin: new Administration(connectAdmin, openAdmin),
    async producer(): Promise<Producer> {
      const sending = sender.producer({
        allowAutoTopicCreation: false,
        idempotent: false,
        createPartitioner: chosenPartition,
      });
      await connected(sending, brokers);
      const producer = new SafeProducer(sending, connectAdmin, answersOf);
      closing.push(() => producer.close());
      return producer;
    },
    consumer(options) {
      const consumer = new RestartingConsumer(client, options, log);
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
    const reason = messageOf(cause);
    throw new KafkaUnreachable(`no Kafka broker answers at ${brokers.join(', ')}: ${reason}`, { cause });
  }
}
