import type { Admin, CompressionTypes, Kafka as Kafkajs, KafkaConfig, Producer as KafkajsProducer } from 'kafkajs';
import { messageOf, PlatformError } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { KafkaJsAdmin } from './admin.ts';
import { Connections } from './connections.ts';
import { KafkaJsConsumer } from './consumer.ts';
import { kafkajsLog } from './logging.ts';
import { answersOf, kafkajs } from './patches.ts';
import { KafkaJsProducer, chosenPartition } from './producer.ts';
import { KafkaUnreachable, sendTimeoutMs } from '../errors.ts';
import type { Kafka, Producer } from '../port.ts';
import type { CompressionType } from '../record/codecs.ts';

const connectionTimeoutMs = 2_000;
/** How to connect to Kafka. */
export interface KafkaConnection {
  /** `host:port` of some brokers, which name the others */
  brokers: string[];
  /**
   * our credentials, if the brokers ask for them: SCRAM-SHA-512 does not send the password. Each new connection reads the password
   * again: a getter may return a renewed one.
   */
  sasl?: { username: string; readonly password: string };
  /** connects over TLS, and trusts the brokers' certificates that these authorities have signed: one or more in PEM */
  ca?: string;
  /** reads `ca` anew for each new connection, where it may be renewed */
  freshCa?: () => string;
  /** how sent records are compressed; default: not at all */
  compression?: CompressionType;
}

export interface KafkaOptions extends KafkaConnection {
  /** the name of this process in the brokers' logs and quotas */
  clientId: string;
  log: Logger;
}

/** Kafka over kafkajs; it connects when it is used. */
export function createKafka(options: KafkaOptions): Kafka {
  const { brokers, sasl, compression = 'none', clientId, log } = options;
  const common: KafkaConfig = {
    brokers,
    clientId,
    ...(sasl && { sasl: credentialsOf(sasl) }),
    ...(options.ca !== undefined && { ssl: authoritiesOf(options.ca, options.freshCa) }),
    connectionTimeout: connectionTimeoutMs,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: kafkajsLog(log),
    requestTimeout: 15_000,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 },
  };
  // the producer retries itself, within the time of a send
  const sending: KafkaConfig = { ...common, requestTimeout: sendTimeoutMs / 2, retry: { retries: 0 } };
  const closing = new Set<() => Promise<void>>();
  let isClosed = false;
  const assertOpen = (): void => {
    if (isClosed) throw new PlatformError('ERR_KAFKA_CLOSED', 'this Kafka was closed');
  };

  let admin: Promise<Admin> | undefined;
  const openAdmin = async (): Promise<Admin> => {
    assertOpen();
    return connected(
      clientOf(common, (client) => client.admin()),
      brokers,
    );
  };
  const connectAdmin = async (): Promise<Admin> => {
    assertOpen();
    admin ??= openAdmin().catch((error: unknown) => {
      admin = undefined;
      throw error;
    });
    return admin;
  };

  const renewAdmin = async (): Promise<void> => {
    const old = admin;
    admin = undefined;
    await (await old?.catch(() => undefined))?.disconnect();
  };

  return {
    admin: new KafkaJsAdmin(connectAdmin, openAdmin, renewAdmin),
    async producer(): Promise<Producer> {
      assertOpen();
      const newClient = () =>
        clientOf(sending, (own) =>
          compressing(
            own.producer({ allowAutoTopicCreation: false, idempotent: false, createPartitioner: chosenPartition }),
            compression,
          ),
        );
      const client = newClient();
      const connect = () => connected(newClient(), brokers);
      const producer = new KafkaJsProducer(client, connect, connectAdmin, answersOf);
      const close = () => producer.close();
      closing.add(close); // also while it is being connected
      try {
        await connected(client, brokers);
      } catch (error) {
        closing.delete(close);
        throw error;
      }
      return producer;
    },
    consumer(wanted) {
      assertOpen();
      const consumer = new KafkaJsConsumer((config) => clientOf(common, (own) => own.consumer(config)), wanted, log);
      closing.add(() => consumer.stop());
      return consumer;
    },
    async check() {
      const asking = await connectAdmin();
      await reach(brokers, asking.describeCluster());
    },
    async close() {
      isClosed = true;
      await Promise.all([...closing].map((close) => close()));
      await (await admin?.catch(() => undefined))?.disconnect();
    },
  };
}

/** kafkajs asks for the password at each connection. */
const credentialsOf = (sasl: NonNullable<KafkaConnection['sasl']>) => ({
  mechanism: 'scram-sha-512' as const,
  username: sasl.username,
  get password() {
    return sasl.password;
  },
});

/** The socket of each connection asks for them. */
const authoritiesOf = (ca: string, freshCa: () => string = () => ca) => ({
  get ca() {
    return freshCa();
  },
});

const compressionOf: Record<CompressionType, CompressionTypes> = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
};

/** A producer of kafkajs that compresses whatever it sends. */
function compressing(producer: KafkajsProducer, type: CompressionType): KafkajsProducer {
  const compression = compressionOf[type];
  return {
    ...producer,
    send: (record) => producer.send({ ...record, compression }),
    sendBatch: (batch) => producer.sendBatch({ ...batch, compression }),
  };
}

interface Client {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** A client of kafkajs whose connections end with it. */
function clientOf<T extends Client>(config: KafkaConfig, make: (client: Kafkajs) => T): T {
  const connections = new Connections();
  const client = make(new kafkajs.Kafka({ ...config, socketFactory: connections.socketFactory }));
  return {
    ...client,
    async disconnect() {
      try {
        await client.disconnect();
      } finally {
        connections.close();
      }
    },
  };
}

async function connected<T extends Client>(client: T, brokers: string[]): Promise<T> {
  try {
    await reach(brokers, client.connect());
    return client;
  } catch (error) {
    await client.disconnect();
    throw error;
  }
}

async function reach<T>(brokers: string[], answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const reason = messageOf(cause);
    throw new KafkaUnreachable(`no Kafka broker answers at ${brokers.join(', ')}: ${reason}`, { cause });
  }
}
