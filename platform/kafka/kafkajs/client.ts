import type { Kafka as Kafkajs, KafkaConfig, SASLOptions } from 'kafkajs';
import type { SaslMechanism } from '#platform/declarations';
import { messageOf } from '#platform/errors';
import type { Logger } from '#platform/telemetry';
import { KafkaUnreachable } from '../errors.ts';
import type { CompressionType } from '../record/codecs.ts';
import { Connections } from './connections.ts';
import { kafkajsLog } from './logging.ts';
import { kafkajs } from './patches.ts';

const connectionTimeoutMs = 2_000;

/** How to connect to Kafka. Each new connection reads `username`, `password` and `ca` again: getters may return renewed ones. */
export interface KafkaConnection {
  /** `host:port` of some brokers, which name the others */
  brokers: string[];
  /** our credentials, if the brokers ask for them; default SCRAM-SHA-512, which like SCRAM-SHA-256 does not send the password */
  sasl?: { mechanism?: SaslMechanism; readonly username: string; readonly password: string };
  /** connects over TLS, and trusts the brokers' certificates that these authorities (PEM) have signed; default: those that Node knows */
  tls?: { readonly ca?: string };
  /** how sent records are compressed; default: not at all */
  compression?: CompressionType;
}

export interface KafkaOptions extends KafkaConnection {
  /** the name of this process in the brokers' logs and quotas */
  clientId: string;
  log: Logger;
}

/** The settings of kafkajs for a connection. */
export function configOf({ brokers, sasl, tls, clientId, log }: KafkaOptions): KafkaConfig {
  return {
    brokers,
    clientId,
    ...(sasl && { sasl: saslOf(sasl) }),
    ...(tls && { ssl: tls }),
    connectionTimeout: connectionTimeoutMs,
    logLevel: kafkajs.logLevel.INFO,
    logCreator: kafkajsLog(log),
    requestTimeout: 15_000,
    retry: { retries: 2, initialRetryTime: 100, maxRetryTime: 1_000 },
  };
}

/** kafkajs asks for both at each connection. */
function saslOf(sasl: NonNullable<KafkaConnection['sasl']>): SASLOptions {
  const { mechanism = 'SCRAM-SHA-512' } = sasl;
  const options = {
    mechanism: mechanism.toLowerCase(),
    get username() {
      return sasl.username;
    },
    get password() {
      return sasl.password;
    },
  };
  return options as SASLOptions;
}

interface Client {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** A client of kafkajs whose connections end with it. */
export function clientOf<T extends Client>(config: KafkaConfig, make: (client: Kafkajs) => T): T {
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

/** Connects a client; where that fails, its connections end. @throws KafkaUnreachable */
export async function connected<T extends Client>(client: T, brokers: string[]): Promise<T> {
  try {
    await reach(brokers, client.connect());
    return client;
  } catch (error) {
    await client.disconnect();
    throw error;
  }
}

/** An answer of the brokers. @throws KafkaUnreachable */
export async function reach<T>(brokers: string[], answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const reason = messageOf(cause);
    throw new KafkaUnreachable(`no Kafka broker answers at ${brokers.join(', ')}: ${reason}`, { cause });
  }
}
