import { randomBytes } from 'node:crypto';
import {
  createDatabaseRoles,
  dropDatabaseAndRole,
  lockDatabases,
  markDatabase,
  marksOf,
  setPassword,
  urlHost,
} from '#platform/postgres';
import type { ClientBase } from '#platform/postgres';
import { hash } from '#runtime/compare.ts';
import { isConflict, isForbidden } from '#runtime/errors.ts';
import type { Clock } from '#runtime/clock.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { Api } from '#runtime/api.ts';
import type { EventService } from '../api/event-service.ts';
import { namespaces, secrets } from '../api/kinds.ts';
import { caKey, certKey, clientSecretKey, databaseSecretName, dataOf, keyKey, valuesOf } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';
import { handOverCommand, isManaged, madeForLabel, managedBy, manager } from '../labels.ts';
import { caFolder, clientFolder, readCertificates } from './certificates.ts';
import { isSharedServer, markOf, newDatabaseName, reservedReason, takenReason } from './database-owner.ts';
import type { DatabaseOwner } from './database-owner.ts';
import { DatabaseServers, NotReady, databasesReady } from './database-server.ts';
import type { Server } from './database-server.ts';
import { publishMs, rotate } from './rotation.ts';

type Postgresql = NonNullable<EventService['spec']['postgresql']>;

/** A database that a service declares, as it is or as it is to be. */
interface Wanted {
  secret: Secret | undefined;
  /** as declared */
  database: string;
  /** in PostgreSQL, also the name of its role */
  name: string;
  /** of its Secret; undefined where there is none */
  known: Record<string, string> | undefined;
}

/** How often the databases are checked though nothing has changed. */
const recheckMs = 5 * 60_000;

const type = databasesReady;

/** A database of a service, for people. */
export const databaseNamed = (database: string): string => `the database ${database}`;

/** The Secret of a database, for its role. It has no owner reference, as the database outlives its service. */
export function databaseSecretOf(
  { namespace, service, database }: Pick<DatabaseOwner, 'namespace' | 'service' | 'database'>,
  name: string,
  { host, port, tlsMode, certificates, clientSecret }: Omit<Server, 'secret' | 'username' | 'password'>,
  password: string,
): Secret {
  const url = new URL(`postgresql://${name}:${encodeURIComponent(password)}@${urlHost(host)}:${port}/${name}`);
  if (tlsMode !== undefined) url.searchParams.set('sslmode', tlsMode);
  const ca = certificates?.ca;
  if (ca !== undefined) url.searchParams.set('sslrootcert', `${caFolder}/${caKey}`);
  if (clientSecret !== undefined) {
    url.searchParams.set('sslcert', `${clientFolder}/${certKey}`);
    url.searchParams.set('sslkey', `${clientFolder}/${keyKey}`);
  }
  const values = { host, port, database: name, username: name, password, url: url.href };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name: databaseSecretName(database), labels: { ...managedBy, [madeForLabel]: service } },
    type: 'Opaque',
    data: dataOf({
      ...values,
      ...(ca === undefined ? {} : { [caKey]: ca }),
      ...(clientSecret === undefined ? {} : { [clientSecretKey]: clientSecret }),
    }),
  };
}

/** Creates the databases of services, with their roles and Secrets. What belongs to another service is never touched. */
export class DatabaseProvisioner {
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #servers: DatabaseServers;
  readonly #provisioned = new Map<string, { hash: string; at: number }>();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
    this.#servers = new DatabaseServers(clock);
  }

  /** @returns the condition, which also says what the operator cannot do at the moment */
  async provision(service: EventService, signal: AbortSignal): Promise<ConditionUpdate> {
    const { databases = [], postgresql } = service.spec;
    if (databases.length === 0) return { type, status: 'True', reason: 'NoDatabases', message: '' };
    try {
      if (!postgresql) throw new NotReady('NoPostgresql', 'spec.postgresql.superuserSecretRef is missing');
      const server = await this.#server(service, postgresql, signal);
      const wanted = await this.#wanted(service, postgresql, server, signal);
      await this.#create(service, server, wanted, signal);
      await this.#rotate(service, server, wanted, signal);
      return { type, status: 'True', reason: 'Created', message: '' };
    } catch (error) {
      if (error instanceof NotReady) return error.condition;
      throw error;
    }
  }

  /** Renews the passwords that somebody asks to renew: of the databases, and of the superuser that the operator has made. */
  async #rotate(
    { metadata: { namespace = '' }, spec }: EventService,
    server: Server,
    wanted: readonly Wanted[],
    signal: AbortSignal,
  ): Promise<void> {
    const common = { api: this.#api, clock: this.#clock };
    const passwordOf = (role: string) => async (password: string) => {
      await this.#servers.with(server, namespace, (client) => setPassword(client, role, password));
    };
    for (const { name, secret } of wanted)
      if (secret) await rotate(secret, { ...common, afterMs: publishMs, set: passwordOf(name) }, signal);
    // nobody but the operator uses it
    if (spec.postgresql?.newSuperuser)
      await rotate(server.secret, { ...common, afterMs: 0, set: passwordOf(server.username) }, signal);
  }

  /** Looks at the databases of the service at the next call, though that was done a short time ago. */
  forget({ metadata: { namespace = '', name } }: EventService): void {
    this.#provisioned.delete(`${namespace}/${name}`);
  }

  /**
   * Drops the databases of the service, their roles and Secrets.
   * @param left the databases, as `databaseNamed` calls them; what is dropped, or was never the service's, is taken from it
   * @throws where PostgreSQL cannot be reached
   */
  async drop(service: EventService, left: Set<string>, signal: AbortSignal): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const { databases = [], postgresql } = service.spec;
    this.forget(service);
    if (databases.length === 0 || !postgresql) return;
    const { newSuperuser: _, ...existing } = postgresql; // a new one could not log in to a server that has another
    const server = await this.#server(service, existing, signal);
    const uid = await this.#namespaceUid(namespace, signal);
    for (const { name: database } of databases) {
      const secret = await this.#api.get<Secret>(secrets, namespace, databaseSecretName(database), { signal });
      const wanted = wantedOf(service, postgresql, database, secret);
      const isOthers = secret !== undefined && secretTakenReason(secret, name) !== undefined;
      const isDropped = !isOthers && reservedReason(wanted.name, server.username) === undefined;
      const owner = { namespace, uid, service: name, database };
      if (isDropped) await this.#servers.with(server, namespace, (client) => dropIfOwned(client, wanted, owner));
      left.delete(databaseNamed(database));
      if (!isDropped || !secret) continue;
      const secretNamed = `the Secret ${secret.metadata.name}`;
      left.add(secretNamed);
      await this.#api.delete(secrets, namespace, secret.metadata.name, { signal });
      left.delete(secretNamed);
    }
  }

  /** @throws NotReady where a Secret cannot be used */
  async #server(
    { metadata: { namespace = '' } }: EventService,
    { superuserSecretRef, superuserSecret = '', newSuperuser, tls }: Postgresql,
    signal: AbortSignal,
  ): Promise<Server> {
    const { name } = superuserSecretRef ?? { name: superuserSecret };
    const secret =
      (await this.#api.get<Secret>(secrets, namespace, name, { signal })) ??
      (newSuperuser && (await this.#newSuperuser(namespace, name, newSuperuser, signal)));
    if (!secret) throw new NotReady('NoSuperuser', `the Secret ${name} does not exist`);
    const { host = '', port = '', username = '', password = '', nextPassword } = valuesOf(secret);
    const superuser = { host, port, username, password };
    const missing = Object.entries(superuser).flatMap(([key, value]) => (value === '' ? [key] : []));
    if (missing.length > 0) throw new NotReady('NoSuperuser', `the Secret ${name} has no ${missing.join(', ')}`);
    const { certificates, missing: fault } = await readCertificates(this.#api, namespace, tls, signal);
    if (fault !== undefined) throw new NotReady('NoCertificates', fault);
    const clientSecret = tls?.clientCertSecretRef?.name;
    return { secret, ...superuser, nextPassword, tlsMode: tls?.mode, certificates, clientSecret };
  }

  /** Creates the Secret of a superuser once: nobody writes it again. */
  async #newSuperuser(
    namespace: string,
    name: string,
    { host, port, username }: NonNullable<Postgresql['newSuperuser']>,
    signal: AbortSignal,
  ): Promise<Secret | undefined> {
    const values = { host, port: String(port), username, password: randomBytes(24).toString('base64url') };
    const metadata = { namespace, name, labels: managedBy };
    const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data: dataOf(values) };
    try {
      return await this.#api.create(secrets, secret, { signal });
    } catch (error) {
      if (!isConflict(error)) throw error;
      return await this.#api.get<Secret>(secrets, namespace, name, { signal }); // another service's reconcile was first
    }
  }

  /** @throws NotReady where a name is reserved, or a Secret is another's */
  async #wanted(
    service: EventService,
    postgresql: Postgresql,
    { username }: Server,
    signal: AbortSignal,
  ): Promise<Wanted[]> {
    const { namespace = '', name } = service.metadata;
    const all: Wanted[] = [];
    for (const { name: database } of service.spec.databases ?? []) {
      const secret = await this.#api.get<Secret>(secrets, namespace, databaseSecretName(database), { signal });
      const taken = secret && secretTakenReason(secret, name);
      if (taken !== undefined) throw new NotReady('DatabaseTaken', `the database ${database} ${taken}`);
      const wanted = wantedOf(service, postgresql, database, secret);
      const reserved = reservedReason(wanted.name, username);
      if (reserved !== undefined) throw new NotReady('DatabaseNameReserved', reserved);
      all.push(wanted);
    }
    return all;
  }

  /** Creates what is missing, unless that was done a short time ago. @throws NotReady where a database is another's */
  async #create(service: EventService, server: Server, wanted: Wanted[], signal: AbortSignal): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const key = `${namespace}/${name}`;
    const last = this.#provisioned.get(key);
    const isRecent = last !== undefined && this.#clock.now() - last.at <= recheckMs;
    const isRight = wanted.every((one) =>
      isSecretRight({ namespace, service: name, database: one.database }, one, server),
    );
    const isAnswering = !this.#servers.isSilent(server, namespace);
    if (isRight && isRecent && isAnswering && last.hash === fingerprintOf(server, wanted)) return;
    const uid = await this.#namespaceUid(namespace, signal);
    const isShared = isSharedServer(service.spec.postgresql!.databaseName);
    const created = await this.#servers.with(server, namespace, async (client) => {
      await lockDatabases(client);
      const owned = wanted.map((one) => ({
        ...one,
        owner: { namespace, uid, service: name, database: one.database },
      }));
      for (const { name: inServer, owner, known } of owned) {
        const isKnown = known !== undefined;
        const taken = takenReason(inServer, await marksOf(client, inServer), owner, { isKnown });
        if (taken !== undefined) throw new NotReady('DatabaseTaken', taken);
      }
      const after: Wanted[] = [];
      for (const { owner, ...one } of owned) {
        after.push({ ...one, known: await this.#secret(owner, one, server, signal) });
      }
      const roles = after.map((one) => ({ database: one.name, password: one.known!['password']! }));
      await createDatabaseRoles(client, roles, { isShared });
      for (const { name: inServer, owner } of owned) {
        const marks = await marksOf(client, inServer);
        const mark = markOf(owner);
        if (marks.database !== mark || marks.role !== mark) await markDatabase(client, inServer, mark);
      }
      return after;
    });
    this.#provisioned.set(key, { hash: fingerprintOf(server, created), at: this.#clock.now() });
  }

  /** Creates the Secret of a database where it is missing, and corrects it where it is wrong. @returns its values */
  async #secret(
    owner: DatabaseOwner,
    { name, known }: Pick<Wanted, 'name' | 'known'>,
    server: Server,
    signal: AbortSignal,
  ) {
    const password = known?.['password'] || randomBytes(24).toString('base64url');
    const wanted = databaseSecretOf(owner, name, server, password);
    const values = valuesOf(wanted);
    if (known) {
      if (!isSecretRight(owner, { name, known }, server)) await this.#api.apply(secrets, wanted, manager, { signal });
      return values;
    }
    try {
      // not by apply: two that create it at the same time would then use two passwords
      await this.#api.create(secrets, wanted, { signal });
      return values;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const { namespace, service, database } = owner;
      const made = await this.#api.get<Secret>(secrets, namespace, databaseSecretName(database), { signal });
      const taken = made && secretTakenReason(made, service);
      if (taken !== undefined) throw new NotReady('DatabaseTaken', `the database ${database} ${taken}`);
      return made ? valuesOf(made) : values;
    }
  }

  /** @returns undefined where the operator may not read the namespace */
  async #namespaceUid(namespace: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      return (await this.#api.get(namespaces, undefined, namespace, { signal }))?.metadata.uid;
    } catch (error) {
      if (isForbidden(error)) return undefined;
      throw error;
    }
  }
}

/** A Secret keeps the name of its database, whatever the pattern is now. */
function wantedOf(
  { metadata: { namespace = '' } }: EventService,
  { databaseName }: Postgresql,
  database: string,
  secret: Secret | undefined,
): Wanted {
  const known = secret && valuesOf(secret);
  return { database, name: known?.['database'] || newDatabaseName(databaseName, namespace, database), known, secret };
}

function isSecretRight(
  owner: Parameters<typeof databaseSecretOf>[0],
  { name, known }: Pick<Wanted, 'name' | 'known'>,
  server: Server,
): boolean {
  if (!known?.['password']) return false;
  const wanted = valuesOf(databaseSecretOf(owner, name, server, known['password']));
  return Object.entries(wanted).every(([key, value]) => known[key] === value);
}

/** What PostgreSQL depends on. */
function fingerprintOf(server: Server, wanted: readonly Wanted[]): string {
  const { secret: _, ...settings } = server; // what else it says, and its version, is nothing to PostgreSQL
  return hash([settings, wanted.map(({ name, known }) => [name, known?.['password']])]);
}

/** Why the Secret of a database is not the service's, as the end of a sentence; undefined where it is. */
function secretTakenReason(secret: Secret, service: string): string | undefined {
  const { name, labels } = secret.metadata;
  const madeFor = labels?.[madeForLabel] ?? service;
  if (isManaged(secret) && madeFor === service) return undefined;
  const whose = isManaged(secret)
    ? `belongs to the service ${madeFor}, as its Secret says`
    : `has a Secret ${name} that Millrace has not made`;
  const command = handOverCommand(secrets, secret, { [madeForLabel]: service });
  return `${whose}: choose another name in spec.databases, or hand it over with: ${command}`;
}

async function dropIfOwned(client: ClientBase, { name, known }: Wanted, owner: DatabaseOwner): Promise<void> {
  await lockDatabases(client);
  const isKnown = known !== undefined;
  if (takenReason(name, await marksOf(client, name), owner, { isKnown }) !== undefined) return;
  await dropDatabaseAndRole(client, name);
}
