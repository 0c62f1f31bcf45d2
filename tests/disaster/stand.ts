import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { databaseNameOf, roleOf, withClient } from '#platform/postgres';
import { check } from '../chaos/check.ts';
import type { Finding, Hops } from '../chaos/hops.ts';
import { Ledger } from '../chaos/ledger.ts';
import { observe } from '../chaos/observe.ts';
import { Probe } from '../chaos/probe.ts';
import type { ChaosSystem } from '../chaos/system.ts';
import { Workload } from '../chaos/workload.ts';

const root = join(import.meta.dirname, '../..');
const quietMs = 60_000;
const pollMs = 250;
const commandMs = 120_000;

/** The running platform of a case, and what is done to it. */
export class Stand {
  readonly system: ChaosSystem;
  readonly ledger = new Ledger();
  readonly #probe: Probe;
  readonly #workload: Workload;
  readonly #say: (line: string) => void;
  readonly #signal: AbortSignal;

  constructor(system: ChaosSystem, seed: number, say: (line: string) => void, signal: AbortSignal) {
    this.system = system;
    this.#say = say;
    this.#signal = signal;
    this.#probe = new Probe(system);
    this.#workload = new Workload(system.url('gateway'), { seed, prefix: 'd' }, this.ledger, signal);
    this.#probe.start();
  }

  /** Lets the clients work; afterwards the door is closed. */
  async load(seconds: number, meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.#workload.start();
    await this.#pause(seconds * 500);
    await meanwhile();
    await this.#pause(seconds * 500);
    await this.#workload.stop();
  }

  /** Waits until no hop has anything to do. @throws with the hops that have, and what their services say */
  quiet(): Promise<void> {
    return this.#untilDone(() => true);
  }

  /** Waits until every outbox is published. */
  quietOutboxes(): Promise<void> {
    return this.#untilDone((hop) => hop.startsWith('outbox '));
  }

  /** Waits until the health of a service says so. */
  untilHealth(service: string, text: string): Promise<void> {
    const { health } = this.#probe;
    return this.#until(
      () => health.get(service)?.includes(text) ?? false,
      () => `${service} does not say "${text}": ${health.get(service)}`,
    );
  }

  #untilDone(isMeant: (hop: string) => boolean): Promise<void> {
    const since = performance.now();
    const left = (backlog: ReadonlyMap<string, number>) =>
      [...backlog].filter(([hop, pending]) => pending > 0 && isMeant(hop));
    return this.#until(
      () => {
        const backlog = this.#probe.backlogSince(since);
        return backlog !== undefined && left(backlog).length === 0;
      },
      () => {
        const health = [...this.#probe.health].map(([name, text]) => `${name}: ${text.slice(0, 500)}`);
        return `nothing is done of ${JSON.stringify(left(this.#probe.backlog()))}\n${health.join('\n')}`;
      },
    );
  }

  async #until(isSo: () => boolean, otherwise: () => string): Promise<void> {
    for (const deadline = performance.now() + quietMs; !isSo(); await this.#pause(pollMs))
      if (performance.now() > deadline) throw new Error(otherwise());
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#signal });
  }

  /** Backs a database up, as a copy on the same server: it has what a dump has, to the transaction ids and the sequences. */
  async backUp(database: string): Promise<void> {
    const name = databaseNameOf(database);
    await this.#alone(database, [`CREATE DATABASE ${backupOf(name)} TEMPLATE ${name}`]);
  }

  /** Puts the backup in the place of a database. */
  async putBack(database: string): Promise<void> {
    const name = databaseNameOf(database);
    await this.#alone(database, [
      `DROP DATABASE ${name}`,
      `CREATE DATABASE ${name} TEMPLATE ${backupOf(name)} OWNER ${roleOf(database)} ALLOW_CONNECTIONS false`,
    ]);
  }

  /** Makes a database look as if it came from another server. */
  async fromAnotherServer(database: string): Promise<void> {
    const url = new URL(this.system.postgres);
    url.pathname = `/${databaseNameOf(database)}`;
    await withClient(url.href, (client) => client.query(`UPDATE millrace.outbox_shards SET server = '1'`));
  }

  async #alone(database: string, statements: string[]): Promise<void> {
    const name = databaseNameOf(database);
    await withClient(this.system.postgres, async (client) => {
      await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
      await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
      for (const statement of statements) await client.query(statement);
      await client.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
    });
  }

  async loseKafka(): Promise<void> {
    await this.system.replaceKafka(() => rmSync(this.#kafkaData, { recursive: true }));
    this.system.recreated.add('order-events').add('user-events');
  }

  async backUpKafka(): Promise<void> {
    await this.system.replaceKafka(() => cpSync(this.#kafkaData, `${this.#kafkaData}-backup`, { recursive: true }));
  }

  async putKafkaBack(): Promise<void> {
    await this.system.replaceKafka(() => {
      rmSync(this.#kafkaData, { recursive: true });
      cpSync(`${this.#kafkaData}-backup`, this.#kafkaData, { recursive: true });
    });
  }

  get #kafkaData(): string {
    return join(this.system.data, 'kafka');
  }

  /** `npm run COMMAND -- ...` of this platform. @returns what it prints @throws if it fails */
  async run(command: string, ...args: string[]): Promise<string> {
    const run = ['--data', this.system.data, '--port-offset', String(this.system.portOffset)];
    const child = spawn(process.execPath, ['--no-warnings', join(root, 'local/operate.ts'), command, ...args, ...run], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: commandMs,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    const [code] = (await once(child, 'close')) as [number | null];
    const shown = output.trim().split('\n').slice(-3).join('\n      ');
    this.#say(`    npm run ${command} -- ${args.join(' ')}\n      ${shown}`);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${output}`);
    return output;
  }

  freeze(...services: string[]): void {
    for (const service of services) process.kill(this.system.pid(service)!, 'SIGSTOP');
  }

  thaw(...services: string[]): void {
    for (const service of services) process.kill(this.system.pid(service)!, 'SIGCONT');
  }

  /** Everything that is compared, when nothing is to be done any more. */
  async findings(): Promise<{ findings: Finding[]; hops: Hops }> {
    await this.quiet();
    const hops = await observe(this.system, this.#probe);
    completeUsers(hops);
    return { findings: check(hops, this.ledger.requests, new Set()), hops };
  }

  async stop(): Promise<void> {
    await this.#workload.stop();
    await this.#probe.stop();
  }
}

const backupOf = (name: string) => `${name}_backup`;

/** users has no event store: what is not in the outbox of a restored database is in its topic alone. */
function completeUsers({ aggregates, records }: Hops): void {
  const { events, topic } = aggregates.find(({ name }) => name === 'users')!;
  const known = new Set(events.map(({ id }) => id));
  for (const { id, key, type, data = {}, topic: of } of records) {
    if (of !== topic || id === undefined || known.has(id)) continue;
    known.add(id);
    events.push({ id, key: key!, type: type!, version: Number(data['version'] ?? 1), data });
  }
}
