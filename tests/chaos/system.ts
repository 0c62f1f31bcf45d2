import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Fault } from '#local/fault.ts';
import { findJava, kafkaClasspath, startJavaKafka } from '#local/kafka-java.ts';
import { KAFKA_VERSION, untilReady } from '#local/kafka.ts';
import { portsWith, serviceEnvironment, serviceUrl, startOrder } from '#local/plan.ts';
import { startPostgres } from '#local/postgres.ts';
import { prepareDatabases, prepareTopics } from '#local/prepare.ts';
import { serviceProcess, startService } from '#local/service.ts';
import { Supervised } from '#local/supervised.ts';
import { eventServices, type EventService } from '#platform/declarations';
import type { KafkaConnection } from '#platform/kafka';
import { insist } from './faults/fault.ts';
import { freePort, freePortOffset } from '#test/ports.ts';
import { startProxy, type Proxy } from '#test/proxy.ts';
import { startTestSmtp, type TestMail } from '#test/smtp.ts';
import type { Observed } from './observed.ts';

const newKafkaMs = 90_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

/** What faults need of the running platform. */
export interface System extends Observed {
  /** Kafka, past the proxy. */
  brokers: string[];
  wires: Record<string, Proxy>;
  /** The process of a service, of `Kafka`, or of `PostgreSQL`; undefined while it is down. */
  pid(part: string): number | undefined;
  /** How far the clock of a service is ahead, in milliseconds, from its next start on; without an entry it is right. */
  clocks: Map<string, number>;
  /** The folder of data and logs. */
  data: string;
}

/**
 * The parts of `npm start`, with its supervision, but with a proxy before PostgreSQL, Kafka and the mail server. Kafka has a
 * second listener, whose advertised port is the proxy's: clients of the first one meet no fault of the wire.
 */
export class ChaosSystem implements System {
  readonly services = eventServices();
  readonly data: string;
  readonly mails: TestMail[] = [];
  readonly wires: Record<string, Proxy> = {};
  readonly recreated = new Set<string>();
  readonly clocks = new Map<string, number>();
  readonly #parts = new Map<string, Supervised>();
  readonly #groups: Supervised[][] = [];
  readonly #stopping = new AbortController();
  readonly #recreatedTopics: 'refuse' | 'restart';
  #offset = 0;
  #listener = 0;
  #smtp: { port: number; mails: TestMail[]; close(): Promise<void> } | undefined;
  postgres = '';
  brokers: string[] = [];

  /** @param recreatedTopics what the services do with a topic that was created again; `refuse` waits for somebody who decides */
  constructor(data: string, recreatedTopics: 'refuse' | 'restart' = 'restart') {
    this.data = data;
    this.#recreatedTopics = recreatedTopics;
  }

  /** How far its ports are from those of `npm start`. */
  get portOffset(): number {
    return this.#offset;
  }

  get #what() {
    return {
      services: this.services,
      say: (line: string) => this.#log('millrace', line),
      signal: this.#stopping.signal,
    };
  }

  url(service: string): string {
    return serviceUrl(service, this.#offset, this.services);
  }

  get kafka(): KafkaConnection {
    return { brokers: this.brokers };
  }

  isDown(service: string): boolean {
    return this.pid(service) === undefined;
  }

  pid(part: string): number | undefined {
    return this.#parts.get(part)?.pid;
  }

  /** Resolves when every service is ready. After a failure, call `stop` for the parts that have started. */
  async start(): Promise<void> {
    this.#offset = await freePortOffset();
    this.#listener = await freePort();
    const ports = portsWith(this.#offset);
    this.wires['PostgreSQL'] = await startProxy('127.0.0.1', ports.postgres);
    this.wires['Kafka'] = await startProxy('127.0.0.1', this.#listener);
    this.#smtp = await startTestSmtp({ onMessage: (mail) => void this.mails.push(mail) });
    this.wires['SMTP'] = await startProxy('127.0.0.1', this.#smtp.port);

    const postgres = this.#supervise('PostgreSQL', async () => {
      const server = await startPostgres({ folder: this.data, port: ports.postgres });
      this.postgres = server.url;
      return server;
    });
    const kafka = this.#supervise('Kafka', (signal) => this.#startKafka(signal));
    this.#groups.push([postgres, kafka]);
    this.brokers = [`127.0.0.1:${ports.kafka}`];
    await Promise.all([
      postgres.start().then(() => prepareDatabases(root, this.postgres, this.#what)),
      kafka.start().then(() => prepareTopics({ brokers: this.brokers }, this.#what)),
    ]);
    for (const group of startOrder(this.services)) {
      const parts = group.map((service) => this.#superviseService(service));
      this.#groups.push(parts);
      await Promise.all(parts.map((part) => part.start()));
    }
  }

  /** Stops Kafka, changes its data, which is in the folder `kafka`, and starts it with the declared topics. */
  async replaceKafka(change: () => void): Promise<void> {
    const [group] = this.#groups as [Supervised[]];
    const at = group.findIndex(({ name }) => name === 'Kafka');
    await group[at]!.stop();
    change();
    const kafka = this.#supervise('Kafka', (signal) => this.#startKafka(signal));
    group[at] = kafka;
    await kafka.start();
    await insist(() => prepareTopics({ brokers: this.brokers }, this.#what), newKafkaMs); // a busy machine takes long
  }

  async #startKafka(signal: AbortSignal) {
    const java = findJava();
    if (java.problem !== undefined) throw new Fault(`Chaos runs Kafka from its jars, and ${java.problem}.`);
    const say = (line: string): void => console.error(line);
    const classpath = await kafkaClasspath(KAFKA_VERSION, { cache: join(root, '.millrace'), say, signal });
    const { kafka: port, kafkaController: controllerPort } = portsWith(this.#offset);
    const listener = (host: string, own: number) => `PLAINTEXT://127.0.0.1:${port},${host}://127.0.0.1:${own}`;
    const settings = {
      listeners: `${listener('PROXIED', this.#listener)},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': listener('PROXIED', this.wires['Kafka']!.port),
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
    };
    const options = { folder: this.data, port, controllerPort, settings };
    const server = await startJavaKafka(KAFKA_VERSION, java.program, classpath, options);
    await untilReady(server, { port, signal });
    return server;
  }

  #superviseService(service: EventService): Supervised {
    const { name } = service.metadata;
    const proxied = new URL(this.postgres);
    proxied.port = String(this.wires['PostgreSQL']!.port);
    const env = serviceEnvironment(service, {
      all: this.services,
      portOffset: this.#offset,
      kafka: { brokers: [`127.0.0.1:${this.wires['Kafka']!.port}`] },
      superuserUrl: proxied.href,
      cache: join(root, '.millrace'),
    });
    env['KAFKA_RECREATED_TOPICS'] = this.#recreatedTopics;
    env['SMTP_URL'] = `smtp://127.0.0.1:${this.wires['SMTP']!.port}`;
    const process = serviceProcess(
      { name, port: service.spec.port + this.#offset, env },
      {
        root,
        data: this.data,
        inspectPort: undefined,
        listener: {
          say: (_, line) => this.#log('millrace', line),
          line: (from, line) => this.#log(from, line),
        },
      },
    );
    const warn = (line: string) => this.#log('millrace', line);
    return this.#supervise(name, (signal, isRestart) => {
      const nodeFlags = [...process.nodeFlags, ...clockFlags(this.clocks.get(name) ?? 0)];
      return startService({ ...process, nodeFlags }, { signal, isRestart }, warn);
    });
  }

  #supervise(
    name: string,
    start: (signal: AbortSignal, isRestart: boolean) => ReturnType<typeof startService>,
  ): Supervised {
    const part = new Supervised(
      name,
      ({ signal, isRestart }) => start(AbortSignal.any([signal, this.#stopping.signal]), isRestart),
      (level, line) => this.#log('millrace', `${level}: ${line}`),
    );
    this.#parts.set(name, part);
    return part;
  }

  #log(from: string, line: string): void {
    try {
      appendFileSync(join(this.data, 'chaos.log'), `${new Date().toISOString()} ${from} ${line}\n`);
    } catch {
      // a full disk is one of the faults
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Fault('It was stopped.'));
    for (const group of this.#groups.toReversed()) await Promise.all(group.map((part) => part.stop()));
    for (const wire of Object.values(this.wires)) await wire.stop();
    await this.#smtp?.close();
  }

  /** Ends every process at once. */
  kill(): void {
    for (const part of this.#groups.flat()) part.kill();
  }
}

/** Node's flags for a clock that is ahead by so many milliseconds. */
export function clockFlags(aheadMs: number): string[] {
  return aheadMs === 0 ? [] : ['--import', new URL(`clock.ts?ahead=${aheadMs}`, import.meta.url).href];
}
