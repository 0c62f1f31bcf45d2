import { Type } from 'typebox';
import { ConfigError, loadConfig } from '#platform/config';
import { createKafka, kafkaConfig, kafkaConnection, type KafkaConnection } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';

import { Fault } from './fault.ts';
import type { KafkaServer } from './kafka.ts';
import { parseBrokers, probeBroker } from './kafka-probe.ts';

const never = new Promise<string>(() => undefined);

/**
 * The Kafka of `KAFKA_BROKERS`.
 * @throws Fault if it does not answer, or if its other settings are wrong
 */
export async function useKafkaOf(env: NodeJS.ProcessEnv): Promise<KafkaServer> {
  const list = env['KAFKA_BROKERS'] ?? '';
  const brokers = parseBrokers(list);
  if (brokers === undefined)
    throw new Fault(`KAFKA_BROKERS is "${list}", which is not a list of host:port.`, {
      hint: 'For example: KAFKA_BROKERS=localhost:9092,localhost:9093 npm start',
    });
  const connection = connectionOf(env);
  const problem = connection.sasl || connection.tls ? await problemOf(connection) : await problemInTheOpen(brokers);
  if (problem !== undefined)
    throw new Fault(`No Kafka answers at KAFKA_BROKERS (${problem}).`, {
      hint: 'Correct KAFKA_BROKERS, or unset it, and Millrace starts its own Kafka.',
    });
  return {
    connection,
    origin: 'KAFKA_BROKERS',
    died: never,
    stop: () => Promise.resolve(),
    kill: () => undefined,
  };
}

function connectionOf(env: NodeJS.ProcessEnv): KafkaConnection {
  try {
    return kafkaConnection(loadConfig(Type.Object(kafkaConfig), { env }));
  } catch (error) {
    if (error instanceof ConfigError) throw new Fault(`Kafka's settings: ${error.faults.join('; ')}.`);
    throw error;
  }
}

/** Asks every broker in turn, until one answers. */
async function problemInTheOpen(brokers: { host: string; port: number }[]): Promise<string | undefined> {
  const problems: string[] = [];
  for (const { host, port } of brokers) {
    try {
      if ((await probeBroker(host, port, 3_000)) > 0) return undefined;
      problems.push(`${host}:${port}: no broker is ready`);
    } catch (error) {
      problems.push(`${host}:${port}: ${error instanceof Error ? error.message || error.name : String(error)}`);
    }
  }
  return problems.join('; ');
}

/** Connects as the services will. */
async function problemOf(connection: KafkaConnection): Promise<string | undefined> {
  const kafka = createKafka({ ...connection, clientId: 'millrace-local', log: createLogger('millrace', 'silent') });
  try {
    await kafka.check();
    return undefined;
  } catch (error) {
    const { cause } = error as { cause?: Error };
    return `${connection.brokers.join(', ')}: ${cause?.message ?? String(error)}`;
  } finally {
    await kafka.close();
  }
}
