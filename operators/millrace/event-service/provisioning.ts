import { randomBytes } from 'node:crypto';
import { databaseNameOf, ensureDatabaseRoles, dropDatabaseAndRole, roleOf, withClient } from '#platform/postgres';
import { hash } from '#runtime/compare.ts';
import { isConflict } from '#runtime/errors.ts';
import type { Clock } from '#runtime/clock.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { Api } from '#runtime/api.ts';
import type { EventService } from '../api/event-service.ts';
import { secrets } from '../api/kinds.ts';
import { clusterHost, databaseSecretName, readSecret } from '../databases.ts';
import type { Secret } from '../databases.ts';
import { madeForLabel, managedBy, manager } from '../labels.ts';

/** The role that makes databases. */
export interface Superuser {
  host: string;
  port: string;
  username: string;
  password: string;
}

/** How often what is there is looked at though nothing has changed. */
const recheckMs = 5 * 60_000;

const type = 'DatabasesReady';
const not = (reason: string, message: string): Statement => ({ type, status: 'False', reason, message });

/** The Secret of a database: how its role reaches it. Nobody owns it, as the database stays, too. */
export function databaseSecretOf(
  namespace: string,
  service: string,
  database: string,
  { host, port }: Pick<Superuser, 'host' | 'port'>,
  password: string,
): Secret {
  const name = databaseNameOf(database);
  const username = roleOf(database);
  const url = `postgresql://${username}:${encodeURIComponent(password)}@${host}:${port}/${name}`;
  const texts = { host, port, database: name, username, password, url };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name: databaseSecretName(database), labels: { ...managedBy, [madeForLabel]: service } },
    type: 'Opaque',
    data: Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
  };
}

/** Makes the databases of services, with their roles and Secrets. */
export class Provisioner {
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #done = new Map<string, { what: string; at: number }>();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** @returns how that went; what cannot be done now is no error, it says why */
  async provision(service: EventService, signal: AbortSignal): Promise<Statement> {
    const { namespace = '', name } = service.metadata;
    const { databases = [], postgresql } = service.spec;
    if (databases.length === 0) return { type, status: 'True', reason: 'NoDatabases', message: '' };
    if (!postgresql) return not('NoPostgresql', 'spec.postgresql.superuserSecret names no Secret');
    const superuser = await this.#superuser(namespace, postgresql.superuserSecret, signal);
    if (typeof superuser === 'string') return not('NoSuperuser', superuser);
    const wanted: { database: string; password: string }[] = [];
    for (const { name: database } of databases) {
      wanted.push({ database, password: await this.#password(namespace, name, database, superuser, signal) });
    }
    const what = hash([superuser, wanted]);
    const key = `${namespace}/${name}`;
    const done = this.#done.get(key);
    if (done?.what !== what || this.#clock.now() - done.at > recheckMs) {
      try {
        await withClient(superuserUrl(superuser, namespace), (client) => ensureDatabaseRoles(client, wanted));
      } catch (error) {
        return not('PostgresqlUnavailable', (error as Error).message);
      }
      this.#done.set(key, { what, at: this.#clock.now() });
    }
    return { type, status: 'True', reason: 'Created', message: '' };
  }

  /** Drops the databases with everything in them, their roles and Secrets. @throws where PostgreSQL cannot be reached */
  async drop(service: EventService, signal: AbortSignal): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const { databases = [], postgresql } = service.spec;
    this.#done.delete(`${namespace}/${name}`);
    if (databases.length === 0 || !postgresql) return;
    const superuser = await this.#superuser(namespace, postgresql.superuserSecret, signal);
    if (typeof superuser === 'string') throw new Error(superuser);
    await withClient(superuserUrl(superuser, namespace), async (client) => {
      for (const { name: database } of databases) await dropDatabaseAndRole(client, database);
    });
    for (const { name: database } of databases) {
      await this.#api.delete(secrets, namespace, databaseSecretName(database), { signal });
    }
  }

  /** @returns what is wrong where it cannot be used */
  async #superuser(namespace: string, name: string, signal: AbortSignal): Promise<Superuser | string> {
    const found = await readSecret(this.#api, namespace, name, signal);
    if (!found) return `there is no Secret ${name}`;
    const missing = ['host', 'port', 'username', 'password'].filter((key) => !found[key]);
    return missing.length > 0 ? `Secret ${name} has no ${missing.join(', ')}` : (found as unknown as Superuser);
  }

  /** The password of a database's role: that of its Secret, which is made, or put right, if it has to be. */
  async #password(namespace: string, service: string, database: string, superuser: Superuser, signal: AbortSignal) {
    const known = await readSecret(this.#api, namespace, databaseSecretName(database), signal);
    const password = known?.['password'] ?? randomBytes(24).toString('base64url');
    const wanted = databaseSecretOf(namespace, service, database, superuser, password);
    const same = Object.entries(wanted.data ?? {}).every(
      ([key, value]) => known?.[key] === Buffer.from(value, 'base64').toString(),
    );
    if (same) return password;
    if (known) {
      await this.#api.apply(secrets, wanted, manager, { signal });
      return password;
    }
    try {
      // not applied: two that make it at the same time would have two passwords
      await this.#api.create(secrets, wanted, { signal });
      return password;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const theirs = await readSecret(this.#api, namespace, databaseSecretName(database), signal);
      return theirs?.['password'] ?? password;
    }
  }
}

function superuserUrl({ host, port, username, password }: Superuser, namespace: string): string {
  const address = clusterHost(host, namespace);
  return `postgresql://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${address}:${port}/postgres`;
}
