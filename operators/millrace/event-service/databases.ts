import { randomBytes } from 'node:crypto';
import { OperatorError } from '../errors.ts';
import { databaseNameOf, ensureDatabaseRoles, dropDatabaseAndRole, roleOf, withClient } from '#platform/postgres';
import { hash } from '#runtime/compare.ts';
import { isConflict } from '#runtime/errors.ts';
import type { Clock } from '#runtime/clock.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { Api } from '#runtime/api.ts';
import type { EventService } from '../api/event-service.ts';
import { secrets } from '../api/kinds.ts';
import { clusterHost, databaseSecretName, readSecret } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';
import { madeForLabel, managedBy, manager } from '../labels.ts';

/** The role of PostgreSQL that creates roles and databases. */
interface Superuser {
  host: string;
  port: string;
  username: string;
  password: string;
}

/** How often the databases are checked though nothing has changed. */
const recheckMs = 5 * 60_000;

const type = 'DatabasesReady';
const notReady = (reason: string, message: string): ConditionUpdate => ({ type, status: 'False', reason, message });

/** The Secret of a database, for its role. It has no owner reference, as the database outlives its service. */
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
  const values = { host, port, database: name, username, password, url };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name: databaseSecretName(database), labels: { ...managedBy, [madeForLabel]: service } },
    type: 'Opaque',
    data: Object.fromEntries(
      Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  };
}

/** Creates the databases of services, with their roles and Secrets. */
export class DatabaseProvisioner {
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #provisioned = new Map<string, { hash: string; at: number }>();

  constructor(api: Api, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** @returns the condition, which also says what the operator cannot do at the moment */
  async provision(service: EventService, signal: AbortSignal): Promise<ConditionUpdate> {
    const { namespace = '', name } = service.metadata;
    const { databases = [], postgresql } = service.spec;
    if (databases.length === 0) return { type, status: 'True', reason: 'NoDatabases', message: '' };
    if (!postgresql) return notReady('NoPostgresql', 'spec.postgresql.superuserSecret is missing');
    const superuser = await this.#superuser(namespace, postgresql.superuserSecret, signal);
    if (typeof superuser === 'string') return notReady('NoSuperuser', superuser);
    const wanted: { database: string; password: string }[] = [];
    for (const { name: database } of databases) {
      wanted.push({ database, password: await this.#password(namespace, name, database, superuser, signal) });
    }
    const wantedHash = hash([superuser, wanted]);
    const key = `${namespace}/${name}`;
    const last = this.#provisioned.get(key);
    if (last?.hash !== wantedHash || this.#clock.now() - last.at > recheckMs) {
      try {
        await withClient(superuserUrl(superuser, namespace), (client) => ensureDatabaseRoles(client, wanted));
      } catch (error) {
        return notReady('PostgresqlUnavailable', (error as Error).message);
      }
      this.#provisioned.set(key, { hash: wantedHash, at: this.#clock.now() });
    }
    return { type, status: 'True', reason: 'Created', message: '' };
  }

  /** Drops the databases, their roles and Secrets. @throws where PostgreSQL cannot be reached */
  async drop(service: EventService, signal: AbortSignal): Promise<void> {
    const { namespace = '', name } = service.metadata;
    const { databases = [], postgresql } = service.spec;
    this.#provisioned.delete(`${namespace}/${name}`);
    if (databases.length === 0 || !postgresql) return;
    const superuser = await this.#superuser(namespace, postgresql.superuserSecret, signal);
    if (typeof superuser === 'string') throw new OperatorError('ERR_OPERATOR_POSTGRESQL', superuser);
    await withClient(superuserUrl(superuser, namespace), async (client) => {
      for (const { name: database } of databases) await dropDatabaseAndRole(client, database);
    });
    for (const { name: database } of databases) {
      await this.#api.delete(secrets, namespace, databaseSecretName(database), { signal });
    }
  }

  /** @returns a message where the Secret cannot be used */
  async #superuser(namespace: string, name: string, signal: AbortSignal): Promise<Superuser | string> {
    const found = await readSecret(this.#api, namespace, name, signal);
    if (!found) return `the Secret ${name} does not exist`;
    const missing = ['host', 'port', 'username', 'password'].filter((key) => !found[key]);
    return missing.length > 0 ? `the Secret ${name} has no ${missing.join(', ')}` : (found as unknown as Superuser);
  }

  /** The password in the Secret of a database. Creates the Secret where it is missing, and corrects it where it is wrong. */
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
      // not by apply: two that create it at the same time would then use two passwords
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
