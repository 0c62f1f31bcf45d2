import { fileURLToPath } from 'node:url';

import { KAFKA_VERSION, untilReady, type KafkaServer } from '#local/kafka.ts';
import { findJava, kafkaClasspath, startJavaKafka } from '#local/kafka-java.ts';

const cache = fileURLToPath(new URL('../../.millrace', import.meta.url));
const java = findJava();

/** Why this machine cannot run a broker of a test's own; undefined if it can. */
export const noOwnBroker: string | undefined = java.problem;

/** Starts a broker of a test's own. It resolves when the broker answers. */
export async function startOwnBroker(options: Parameters<typeof startJavaKafka>[3]): Promise<KafkaServer> {
  if (java.problem !== undefined) throw new Error(java.problem);
  const { signal } = new AbortController();
  const classpath = await kafkaClasspath(KAFKA_VERSION, { cache, say: (line) => console.error(line), signal });
  const server = await startJavaKafka(KAFKA_VERSION, java.program, classpath, options);
  await untilReady(server, { port: options.port, signal });
  return server;
}
