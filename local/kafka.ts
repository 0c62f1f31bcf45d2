import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf } from '#platform/errors';
import type { KafkaConnection } from '#platform/kafka';

import { asFileFault, Fault } from './fault.ts';
import { dockerAnswers, forgetDockerKafka, hasVolume, removeContainer, startDockerKafka } from './kafka-docker.ts';
import { endLeftoverBroker, findJava, kafkaClasspath, startJavaKafka } from './kafka-java.ts';
import { useKafkaOf } from './kafka-external.ts';
import { forgetKind, kindOfData, noteKind, type BrokerKind } from './kafka-kind.ts';
import { probeBroker } from './kafka-probe.ts';
import type { Running } from './supervised.ts';
import { assertPortFree } from './ports.ts';

/** The version of the broker that the local run starts. */
export const KAFKA_VERSION = '4.3.1';

/** A Kafka: our own broker, or the user's. */
export interface KafkaServer extends Running {
  connection: KafkaConnection;
  /** How it runs, for the user. */
  origin: string;
}

/** The options for finding a way to run the broker. */
export interface SearchOptions {
  /** Folder for results that all runs share, such as the list of jars. */
  cache: string;
  /** Tells the user about slow steps. */
  say: (line: string) => void;
  /** Ends a download. */
  signal: AbortSignal;
}

/** The options for running the broker. */
export interface BrokerOptions {
  /** Data and logs go to `<folder>/kafka` and `<folder>/kafka.log`. */
  folder: string;
  port: number;
  controllerPort: number;
}

/** Deletes Kafka's data of that folder; first stops a broker of a killed run. */
export async function forgetKafka(options: { folder: string }): Promise<void> {
  await endLeftoverBroker(options.folder);
  forgetDockerKafka(options.folder);
  rmSync(join(options.folder, 'kafka'), { recursive: true, force: true });
  forgetKind(options.folder);
}

/**
 * Provides a Kafka: that of `KAFKA_BROKERS`, else our own broker in Docker, else our own broker from its jars; where the folder has
 * data of our own broker, only the kind of broker that has written it.
 * @param options.env has `KAFKA_BROKERS` and the settings beside it
 */
export async function startKafka(
  options: BrokerOptions & SearchOptions & { env: NodeJS.ProcessEnv },
): Promise<KafkaServer> {
  if (options.env['KAFKA_BROKERS']) return await useKafkaOf(options.env);
  const { kind, start } = await chooseBroker(options);
  try {
    mkdirSync(options.folder, { recursive: true });
    await endLeftoverBroker(options.folder);
    await assertPortFree(options.port, 'Kafka');
    await assertPortFree(options.controllerPort, "Kafka's controller");
    const server = await start();
    noteKind(options.folder, kind);
    await untilReady(server, options);
    return server;
  } catch (error) {
    throw asFileFault(error, `Kafka's data folder ${options.folder}`);
  }
}

type Start = () => Promise<KafkaServer>;

/** A broker that can be started. */
interface Choice {
  kind: BrokerKind;
  start: Start;
}

async function chooseBroker(options: BrokerOptions & SearchOptions): Promise<Choice> {
  const { folder } = options;
  const hasDocker = dockerAnswers();
  if (hasDocker) removeContainer(folder);
  const only = kindOfData(folder, hasDocker && hasVolume(folder));
  const problems: string[] = [];
  for (const kind of only ? [only] : (['docker', 'java'] as const)) {
    const found = kind === 'docker' ? await dockerBroker(hasDocker, options) : await javaBroker(options);
    if (typeof found !== 'string') return { kind, start: found };
    problems.push(found);
  }
  throw noBroker(only, problems, folder);
}

/** How to start a broker in Docker, or why it cannot be. */
async function dockerBroker(hasDocker: boolean, options: BrokerOptions & SearchOptions): Promise<Start | string> {
  if (!hasDocker) return 'no Docker engine answers';
  try {
    return await startDockerKafka(KAFKA_VERSION, options);
  } catch (error) {
    return messageOf(error);
  }
}

/** How to start a broker from its jars, or why it cannot be. */
async function javaBroker(options: BrokerOptions & SearchOptions): Promise<Start | string> {
  const java = findJava();
  if (java.problem !== undefined) return java.problem;
  const classpath = await kafkaClasspath(KAFKA_VERSION, options);
  return () => startJavaKafka(KAFKA_VERSION, java.program, classpath, options);
}

/** @param only the kind that has the data of the folder */
function noBroker(only: BrokerKind | undefined, problems: readonly string[], folder: string): Fault {
  const problem = `Kafka cannot be started: ${problems.join('; ')}.`;
  if (only === undefined)
    return new Fault(problem, {
      hint: 'Install Java 17 or newer with Maven, or start Docker, or use your own Kafka: KAFKA_BROKERS=host:9092 npm start',
    });
  const [where, wanted] =
    only === 'docker'
      ? ['in Docker', 'Start Docker']
      : ['those of a broker without Docker', 'Install Java 17 or newer with Maven'];
  return new Fault(`${problem} The events of ${folder} are ${where}; another broker would begin without them.`, {
    hint: `${wanted}, or delete all data and begin anew: npm start -- --fresh`,
  });
}

/** Waits until the broker answers. @throws Fault if it does not; it is stopped then */
export async function untilReady(
  server: KafkaServer,
  { port, signal }: { port: number; signal: AbortSignal },
): Promise<void> {
  const failed = new AbortController();
  void server.died.then((sentence) => failed.abort(new Fault(sentence)));
  const deadline = Date.now() + 60_000;
  try {
    for (;;) {
      const brokers = await probeBroker('127.0.0.1', port, 2_000).catch(() => 0);
      if (brokers > 0) return;
      failed.signal.throwIfAborted();
      signal.throwIfAborted();
      if (Date.now() > deadline) throw new Fault('Kafka did not answer within a minute.');
      await delay(40);
    }
  } catch (error) {
    await server.stop();
    throw error;
  }
}
