import { existsSync, readdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

import { declarationFaults } from '#platform/declaration-schema';
import { eventServices, type EventService } from '#platform/declarations';
import type { KafkaConnection } from '#platform/kafka';

import { startMailCatcher } from '#platform/mail-catcher';
import { Fault } from './fault.ts';
import { generateClients } from './generate.ts';
import { forgetKafka, startKafka } from './kafka.ts';
import { Supervised, type Running, type Start } from './supervised.ts';
import type { Listener } from './listener.ts';
import type { Options } from './options.ts';
import { INSPECT_PORT, portsWith, serviceEnvironment, serviceUrl, startOrder } from './plan.ts';
import { assertPortFree, firstFreePort } from './ports.ts';
import { forgetPostgres, startPostgres } from './postgres.ts';
import { prepareDatabases, prepareTopics } from './prepare.ts';
import { endOrphan } from './process.ts';
import { reloadOnChange } from './reload.ts';
import { pidFolder, serviceProcess, startService, type ServiceProcess } from './service.ts';
import { Takeovers } from './takeover.ts';
import type { SourceWatch } from './watch.ts';

/** Services are killed after this time; their transactions are then complete or rolled back. */
const LEFTOVER_GRACE_MS = 3_000;
const ENOUGH_DISK = 200 << 20;

/** All parts of `npm start`, started and stopped together. */
export class Platform {
  readonly #root: string;
  readonly #options: Options;
  readonly #listener: Listener;
  /** The running parts, in groups in the order of their start. */
  readonly #groups: Supervised[][] = [];
  readonly #starting = new AbortController();
  readonly #cache: string;
  readonly #processes: ServiceProcess[] = [];
  readonly #takeovers = new Takeovers(
    () => this.#processes,
    (service, isTaken) => this.#onTakeover(service, isTaken),
  );
  #sources: SourceWatch | undefined;
  #started: Promise<void> = Promise.resolve();
  #superuserUrl = '';
  #kafka: KafkaConnection = { brokers: [] };
  /** How Kafka runs. */
  kafkaOrigin = '';
  /** The port for debuggers of the service that `--inspect` names. */
  inspectPort: number | undefined;
  readonly services = eventServices();

  constructor(root: string, options: Options, listener: Listener) {
    this.#root = root;
    this.#options = options;
    this.#listener = listener;
    this.#cache = join(root, '.millrace');
  }

  /** The address of the gateway. */
  get gatewayUrl(): string {
    return serviceUrl('gateway', this.#options.portOffset, this.services);
  }

  /** The brokers of Kafka. */
  get brokers(): string {
    return this.#kafka.brokers.join(',');
  }

  /** Process ids of the child processes, by name. */
  get processes(): { name: string; pid: number }[] {
    return this.#groups.flat().flatMap(({ name, pid }) => (pid === undefined ? [] : [{ name, pid }]));
  }

  /** Starts everything; resolves when every service is ready. After a failure, call `stop` for the parts that have started. */
  start(): Promise<void> {
    this.#started = this.#run();
    return this.#started;
  }

  async #run(): Promise<void> {
    const { data, fresh, inspect } = this.#options;
    assertDeclared(this.services);
    if (fresh) await this.#forget();
    assertDiskSpace(data);
    await this.#endLeftovers();
    await this.#assertPortsFree();
    const generated = await generateClients();
    if (generated.length > 0) this.#listener.say('info', `generated Prisma clients: ${generated.join(', ')}`);
    await this.#startServers();
    if (inspect !== undefined) this.inspectPort = await firstFreePort(INSPECT_PORT);
    const since = Date.now();
    for (const group of startOrder(this.services)) {
      this.#starting.signal.throwIfAborted();
      await this.#startGroup(group.map((service) => this.#superviseService(service)));
    }
    await this.#listenForTakers();
    this.#sources = reloadOnChange(this.#root, () => this.#ownServices(), { since, listener: this.#listener });
  }

  /** Stops the groups in reverse order: services before the servers that they use. */
  async stop(): Promise<void> {
    this.#starting.abort(new Fault('It was stopped during the start.'));
    await Promise.allSettled([this.#started]);
    this.#sources?.stop();
    this.#takeovers.close();
    for (const group of this.#groups.toReversed()) await Promise.all(group.map((supervised) => supervised.stop()));
  }

  /** Ends every process at once. */
  kill(): void {
    for (const supervised of this.#groups.flat()) supervised.kill();
  }

  async #forget(): Promise<void> {
    const { data } = this.#options;
    await this.#endLeftovers();
    await Promise.all([forgetPostgres({ folder: data }), forgetKafka({ folder: data })]);
    this.#listener.say('info', `deleted the data in ${data}`);
    if (process.env['KAFKA_BROKERS'])
      this.#listener.say('warn', 'the topics in your KAFKA_BROKERS are not deleted: their events are read again');
  }

  /** Ends services of a run that was killed. */
  async #endLeftovers(): Promise<void> {
    const folder = pidFolder(this.#options.data);
    if (!existsSync(folder)) return;
    const ended = await Promise.all(
      readdirSync(folder).map((name) => endOrphan(join(folder, name), 'SIGTERM', LEFTOVER_GRACE_MS)),
    );
    if (ended.includes(true)) this.#listener.say('warn', 'stopped services that a killed run had left');
  }

  async #assertPortsFree(): Promise<void> {
    const { portOffset } = this.#options;
    const { smtp, mail } = portsWith(portOffset);
    for (const { metadata, spec } of this.services) await assertPortFree(spec.port + portOffset, metadata.name);
    await assertPortFree(smtp, 'the SMTP server');
    await assertPortFree(mail, 'the mail page');
  }

  /** PostgreSQL with its databases, Kafka with its topics, and the mail server, beside each other. */
  async #startServers(): Promise<void> {
    const { data: folder, portOffset } = this.#options;
    const ports = portsWith(portOffset);
    const say: Listener['say'] = (level, line) => this.#listener.say(level, line);
    const what = { services: this.services, say: (line: string) => say('info', line), signal: this.#starting.signal };
    const postgres = this.#supervise('PostgreSQL', async () => {
      const server = await startPostgres({ folder, port: ports.postgres });
      this.#superuserUrl = server.url;
      say('info', `PostgreSQL is ready on port ${ports.postgres}`);
      return server;
    });
    const kafka = this.#supervise('Kafka', async ({ signal }) => {
      const server = await startKafka({
        folder,
        cache: this.#cache,
        port: ports.kafka,
        controllerPort: ports.kafkaController,
        env: process.env,
        say: (line) => say('info', line),
        signal,
      });
      this.#kafka = server.connection;
      this.kafkaOrigin = server.origin;
      await stoppingOnFailure(server, () => prepareTopics(this.#kafka, what)); // at a restart, too: it may come back empty
      say('info', `Kafka is ready at ${this.brokers} (${server.origin})`);
      return server;
    });
    const mail = this.#supervise('mail', () => keepMail(ports));
    this.#groups.push([postgres, kafka, mail]);
    await this.#together([
      postgres.start().then(() => prepareDatabases(this.#root, this.#superuserUrl, what)),
      kafka.start(),
      mail.start(),
    ]);
  }

  /** Waits for all starts; the first failure aborts the others, and is thrown. */
  async #together(work: Promise<void>[]): Promise<void> {
    const errors: unknown[] = [];
    const fail = (error: unknown): void => {
      errors.push(error);
      this.#starting.abort(error);
    };
    await Promise.all(work.map((one) => one.catch(fail)));
    if (errors.length > 0) throw errors[0];
  }

  #supervise(name: string, start: (start: Start) => Promise<Running>): Supervised {
    // A replacement is stopped by its `Supervised`.
    const whileWanted = (request: Start): Promise<Running> =>
      start(
        request.replaceOld ? request : { ...request, signal: AbortSignal.any([request.signal, this.#starting.signal]) },
      );
    return new Supervised(name, whileWanted, (level, line) => this.#listener.say(level, line));
  }

  #superviseService(service: EventService): Supervised {
    const { name } = service.metadata;
    const { data, portOffset, inspect } = this.#options;
    const env = serviceEnvironment(service, {
      all: this.services,
      portOffset,
      kafka: this.#kafka,
      superuserUrl: this.#superuserUrl,
      cache: this.#cache,
    });
    const process = serviceProcess(
      { name, port: service.spec.port + portOffset, env },
      {
        root: this.#root,
        data,
        inspectPort: name === inspect ? this.inspectPort : undefined,
        listener: this.#listener,
      },
    );
    this.#processes.push(process);
    const warn = (line: string) => this.#listener.say('warn', line);
    return this.#supervise(name, (start) =>
      this.#takeovers.isTaken(name) ? this.#takeovers.startTaken(name, start) : startService(process, start, warn),
    );
  }

  async #listenForTakers(): Promise<void> {
    try {
      await this.#takeovers.listen(this.#options.data);
    } catch (error) {
      this.#listener.say('warn', `no service can be taken over with --only: ${(error as Error).message}`);
    }
  }

  #onTakeover(service: string, isTaken: boolean): void {
    if (this.#starting.signal.aborted) return;
    this.#listener.say('info', `${service} is ${isTaken ? 'taken over by another npm start' : 'given back'}`);
    for (const supervised of this.#groups.flat()) if (supervised.name === service) supervised.replace();
  }

  /** The services that run from this clone. */
  #ownServices(): Supervised[] {
    const names = this.#processes.map(({ name }) => name).filter((name) => !this.#takeovers.isTaken(name));
    return this.#groups.flat().filter(({ name }) => names.includes(name));
  }

  async #startGroup(group: Supervised[]): Promise<void> {
    this.#groups.push(group);
    await this.#together(group.map((supervised) => supervised.start()));
  }
}

/** Prepares a server that runs; stops it if that fails. */
async function stoppingOnFailure(server: Running, prepare: () => Promise<void>): Promise<void> {
  try {
    await prepare();
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** The mail catcher, on this machine only. */
async function keepMail({ smtp: smtpPort, mail: pagePort }: { smtp: number; mail: number }): Promise<Running> {
  const { stop } = await startMailCatcher({
    smtpPort,
    pagePort,
    host: '127.0.0.1',
    trustedHosts: process.env['TRUSTED_HOSTS'],
  });
  return { died: new Promise(() => undefined), stop, kill: () => void stop() };
}

function assertDiskSpace(folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < ENOUGH_DISK)
    throw new Fault(`The disk of ${folder} is full: ${Math.round((bavail * bsize) / (1 << 20))} MB are free.`, {
      hint: 'Free 200 MB there, or put the data elsewhere: npm start -- --data <folder>',
    });
}

/** Checks the declarations as the operator does in a cluster. @throws Fault with every mistake */
function assertDeclared(services: readonly EventService[]): void {
  const faults = declarationFaults(services);
  if (faults.length > 0)
    throw new Fault(`The declarations below charts/millrace/files/services have mistakes:\n  ${faults.join('\n  ')}`);
}
