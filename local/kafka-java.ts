import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Fault } from './fault.ts';
import { kafkaSettings } from './kafka-settings.ts';
import type { BrokerOptions, KafkaServer, SearchOptions } from './kafka.ts';
import { lastLines, openLog } from './log-file.ts';
import { endChild, endOrphan, writePidFileOf } from './process.ts';

const here = (path: string): string => fileURLToPath(new URL(`kafka/${path}`, import.meta.url));

/**
 * Small and quick to start: the serial collector and the first compiler need the fewest threads and the least memory,
 * and are enough for one broker with some thousand messages a second.
 */
const JVM = [
  '-Xms64m',
  '-Xmx160m',
  '-Xss256k',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:ReservedCodeCacheSize=48m',
  '-XX:-UsePerfData',
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.awt.headless=true',
  `-Dlog4j2.configurationFile=${here('log4j2.yaml')}`,
];

/** Java 17 or newer, from JAVA_HOME, else from the path. */
export function findJava(): { program: string; problem?: undefined } | { problem: string } {
  const home = process.env['JAVA_HOME'];
  const candidates = home ? [join(home, 'bin/java'), 'java'] : ['java'];
  let problem = 'no Java is installed';
  for (const program of candidates) {
    const { status, stderr } = spawnSync(program, ['-version'], { encoding: 'utf8' });
    if (status !== 0) continue;
    const version = javaVersion(stderr);
    if (version !== undefined && version >= 17) return { program };
    problem = `the installed Java is older than 17 (${stderr.split('\n', 1)[0]})`;
  }
  return { problem };
}

/** The feature version in the output of `java -version`: 17 of "17.0.15", 8 of "1.8.0_402". */
export function javaVersion(output: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(output);
  return match ? Number(match[1]) : undefined;
}

/**
 * The class path of the broker. Maven fetches the missing jars into its repository in the user's home, so that a second
 * clone needs no download; `cache` keeps the result.
 */
export async function kafkaClasspath(version: string, options: SearchOptions): Promise<string> {
  const file = join(options.cache, `kafka-${version}.classpath`);
  const known = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (known !== '' && known.split(delimiter).every((jar) => existsSync(jar))) return known;

  options.say(`Looking up the jars of Kafka ${version} with Maven (43 MB on the first run)`);
  mkdirSync(options.cache, { recursive: true });
  const draft = `${file}.draft-${process.pid}`;
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath';
  const args = ['-q', '-B', '-f', here('pom.xml'), `-Dkafka.version=${version}`, goal];
  const { code, output } = await run('mvn', [...args, '-Dmdep.includeScope=runtime', `-Dmdep.outputFile=${draft}`], {
    signal: options.signal,
  });
  options.signal.throwIfAborted();
  if (code === undefined)
    throw new Fault(
      'Kafka cannot be started: Java is installed, but Maven is missing, which fetches the jars of Kafka.',
      {
        hint: 'Install Maven, or start Docker, or use your own Kafka: KAFKA_BROKERS=host:9092 npm start',
      },
    );
  if (code !== 0)
    throw new Fault(
      `Maven could not fetch the jars of Kafka ${version}:\n${output.trim().split('\n').slice(0, 5).join('\n')}`,
    );
  renameSync(draft, file);
  return readFileSync(file, 'utf8').trim();
}

const pidFileOf = (folder: string): string => join(folder, 'kafka.pid');

/** Stops the broker that a killed run has left on the data of this folder. */
export async function endLeftoverBroker(folder: string): Promise<void> {
  await endOrphan(pidFileOf(folder), 'SIGTERM', 10_000);
}

/**
 * Starts the broker from its jars; the first start formats the data.
 * @param options.settings override those of `kafkaSettings`
 * @param options.formatting additional arguments of the formatting
 */
export async function startJavaKafka(
  version: string,
  java: string,
  classpath: string,
  options: BrokerOptions & { settings?: Record<string, string>; formatting?: string[] },
): Promise<KafkaServer> {
  const data = join(options.folder, 'kafka');
  const pidFile = pidFileOf(options.folder);
  const properties = join(options.folder, 'kafka.properties');
  const settings = { ...kafkaSettings({ ...options, bind: '127.0.0.1', logDirs: data }), ...options.settings };
  writeFileSync(
    properties,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
      .join(''),
  );
  const env = { ...process.env, CLASSPATH: classpath };
  if (!existsSync(join(data, 'meta.properties')))
    await format(java, env, data, ['-c', properties, ...(options.formatting ?? [])]);

  const logFile = join(options.folder, 'kafka.log');
  const log = openLog(logFile);
  const broker = spawn(java, [...JVM, 'kafka.Kafka', properties], { env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  let stopping = false;
  const died = new Promise<string>((resolve) => {
    broker.once('error', (error) => resolve(`Kafka could not be started: ${error.message}`));
    broker.once('exit', (code, signal) => {
      rmSync(pidFile, { force: true });
      if (!stopping) resolve(`Kafka ended (${signal ?? `exit code ${code}`}).\n${lastLines(logFile, 12)}`);
    });
  });
  if (broker.pid === undefined) throw new Fault(await died);
  await writePidFileOf(broker, broker.pid, pidFile);
  return {
    connection: { brokers: [`127.0.0.1:${options.port}`] },
    origin: `Kafka ${version}`,
    pid: broker.pid,
    died,
    stop: async () => {
      stopping = true;
      await endChild(broker, 'SIGTERM', 10_000);
    },
    kill: () => void broker.kill('SIGKILL'),
  };
}

async function format(java: string, env: NodeJS.ProcessEnv, data: string, how: string[]): Promise<void> {
  rmSync(data, { recursive: true, force: true });
  const id = randomBytes(16).toString('base64url');
  // An id that begins with a dash would be read as an option.
  const args = [...JVM, 'kafka.tools.StorageTool', 'format', ...how, '-t', id.replace(/^-/, 'A')];
  const { code, output } = await run(java, args, { env });
  if (code !== 0) throw new Fault(`Kafka's data folder ${data} could not be formatted:\n${output.trim()}`);
}

/** Runs a program to its end; `code` is undefined when there is no such program. */
async function run(
  program: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; signal?: AbortSignal },
): Promise<{ code: number | undefined; output: string }> {
  const child = spawn(program, args, {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
  return await new Promise((resolve) => {
    child.once('error', () => resolve({ code: undefined, output }));
    child.once('close', (code) => resolve({ code: code ?? -1, output }));
  });
}
