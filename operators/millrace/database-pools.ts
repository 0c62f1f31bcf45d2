import { LRUCache } from 'lru-cache';

import { createPool } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import type { Logger } from '#platform/telemetry';
import type { Api } from '#runtime/api.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { secrets } from './api/kinds.ts';

export interface Secret extends KubeObject {
  type?: string;
  /** base64 */
  data?: Record<string, string>;
}

/** The key of certificates of authorities in a Secret, and those of a Secret of the type kubernetes.io/tls. */
export const caKey = 'ca.crt';
export const certKey = 'tls.crt';
export const keyKey = 'tls.key';
/** The key that names the Secret with a client's certificate: a copy of its key would be one more to keep. */
export const clientSecretKey = 'clientCertSecret';

/** The Secret with the URL of a database, for the role that owns it. */
export const databaseSecretName = (database: string): string => `${database}-database`;

const connectionsOfPool = 2;
/** An operator with more databases ends the pool that was used longest ago: that of a password of before, mostly. */
const maxPools = 1_000;

/** The decoded values of a Secret. @returns undefined where it does not exist */
export async function readSecret(
  api: Api,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<Record<string, string> | undefined> {
  const secret = await api.get<Secret>(secrets, namespace, name, { signal });
  return secret && valuesOf(secret);
}

/** The decoded values of a Secret. */
export function valuesOf({ data = {} }: Secret): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

/** The encoded values of a Secret. */
export function dataOf(values: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
}

/** The name of a host for every namespace: a name without a dot is a Service of `namespace`. */
export function clusterHost(host: string, namespace: string): string {
  return host.includes('.') || host.includes(':') || host === 'localhost' ? host : `${host}.${namespace}.svc`;
}

/** Connections to the databases of services, with the URLs in their Secrets. A pool that is not used has none after a minute. */
export class DatabasePools {
  readonly #api: Api;
  readonly #log: Logger;
  readonly #pools = new LRUCache<string, Pool>({ max: maxPools, dispose: (pool) => this.#end(pool) });
  readonly #ending = new Set<Promise<void>>();

  constructor(api: Api, log: Logger) {
    this.#api = api;
    this.#log = log;
  }

  /** @returns undefined while the database has no Secret */
  async get(namespace: string, database: string, signal: AbortSignal): Promise<Pool | undefined> {
    const secret = await readSecret(this.#api, namespace, databaseSecretName(database), signal);
    if (!secret?.['url']) return undefined;
    const url = new URL(secret['url']);
    url.hostname = clusterHost(url.hostname, namespace);
    // the files that it names are in the pods of the service
    const [hasAuthority, hasClient] = ['sslrootcert', 'sslcert'].map((file) => url.searchParams.has(file));
    for (const file of ['sslrootcert', 'sslcert', 'sslkey']) url.searchParams.delete(file);
    const clientSecret = hasClient ? secret[clientSecretKey] : undefined;
    const client = clientSecret ? await readSecret(this.#api, namespace, clientSecret, signal) : undefined;
    const ca = hasAuthority ? secret[caKey] : undefined;
    const certificates = { ca, cert: client?.[certKey], key: client?.[keyKey] };
    const key = JSON.stringify([url.href, certificates]);
    const known = this.#pools.get(key);
    if (known) return known;
    const name = `operator ${namespace}/${database}`;
    const pool = createPool({ name, url: url.href, certificates, max: connectionsOfPool, log: this.#log });
    this.#pools.set(key, pool);
    return pool;
  }

  /** Nobody waits for a pool to end but who closes all: its connections may be in use, or silent. */
  #end(pool: Pool): void {
    const ended = pool.end().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  async close(): Promise<void> {
    this.#pools.clear();
    await Promise.all(this.#ending);
  }
}
