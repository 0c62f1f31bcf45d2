import { RuntimeError } from './catalogue.ts';

import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';

/** A connection to the API server. */
export interface Connection {
  /** `https://host:port` */
  server: string;
  /** the namespace of the service account or of the context, where there is one */
  namespace: string | undefined;
  /** the pool of connections for requests */
  requests: Dispatcher;
  /** the pool for watches: each watch holds a connection while it lasts, and requests must not wait for it */
  watches: Dispatcher;
  /** the headers of a request that authenticate this client */
  headers(): Promise<Record<string, string>>;
  close(): Promise<void>;
}

interface Tls {
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  rejectUnauthorized?: boolean;
  servername?: string;
}

const maxRequests = 16;
const connectMs = 5_000;
/** Less than the idle timeout of the load balancers of clouds. */
const keepAliveMs = 30_000;
/** Kubernetes replaces the file long before the token in it expires. */
const tokenRereadMs = 60_000;

export function connectionTo(
  server: string,
  tls: Tls = {},
  headers: Connection['headers'] = async () => ({}),
  namespace?: string,
): Connection {
  const connect = { ...tls, timeout: connectMs, keepAlive: true, keepAliveInitialDelay: keepAliveMs };
  // HTTP/1.1: with HTTP/2 every watch shares one connection, which stays in use after it is dead
  const shared = { connect, pipelining: 1, allowH2: false };
  const requests = new Agent({ ...shared, connections: maxRequests });
  const watches = new Agent(shared);
  return {
    server: server.replace(/\/$/, ''),
    namespace,
    requests,
    watches,
    headers,
    async close() {
      await Promise.all([requests.destroy(), watches.destroy()]);
    },
  };
}

/** Where Kubernetes mounts the credentials of a pod. */
const serviceAccountDir = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * The connection of a pod, with the token of its service account, which Kubernetes renews from time to time.
 * `@kubernetes/client-node` could read it, too, but its import costs 87 MB of memory, and it opens a connection for each
 * request.
 * @throws outside a pod
 */
export function inClusterConnection(env: NodeJS.ProcessEnv = process.env, dir = serviceAccountDir): Connection {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port)
    throw new RuntimeError(
      'ERR_KUBERNETES_CONNECTION',
      'there is no cluster: neither KUBECONFIG nor KUBERNETES_SERVICE_HOST is set',
    );
  let token = '';
  let readAt = Number.NEGATIVE_INFINITY;
  const headers = async () => {
    if (performance.now() - readAt > tokenRereadMs) {
      token = readFileSync(`${dir}/token`, 'utf8').trim();
      readAt = performance.now();
    }
    return { authorization: `Bearer ${token}` };
  };
  const address = host.includes(':') ? `[${host}]` : host;
  const tls = { ca: readFileSync(`${dir}/ca.crt`) };
  const namespace = readFileSync(`${dir}/namespace`, 'utf8').trim();
  return connectionTo(`https://${address}:${port}`, tls, headers, namespace);
}

/** The connection of the current context of a kubeconfig, with every way to authenticate that kubectl knows. */
export async function kubeconfigConnection(file: string): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new RuntimeError('ERR_KUBERNETES_CONNECTION', `${file} has no current context`);
  const options = async () => {
    const found: Parameters<typeof config.applyToHTTPSOptions>[0] = {};
    await config.applyToHTTPSOptions(found);
    return found;
  };
  const { ca, cert, key, rejectUnauthorized, servername } = await options();
  const tls = Object.fromEntries(
    Object.entries({ ca, cert, key, rejectUnauthorized, servername }).filter(([, value]) => value !== undefined),
  ) as Tls;
  const headers = async () => {
    const { headers: found, auth } = await options();
    const given = Object.entries((found ?? {}) as Record<string, unknown>).map(([name, value]) => [
      name,
      String(value),
    ]);
    const basic = auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
    return { ...(Object.fromEntries(given) as Record<string, string>), ...basic };
  };
  return connectionTo(cluster.server, tls, headers, config.getContextObject(config.getCurrentContext())?.namespace);
}

/** The connection of KUBECONFIG where it is set, and otherwise that of the pod. */
export function defaultConnection(env: NodeJS.ProcessEnv = process.env): Promise<Connection> {
  const file = env['KUBECONFIG']?.split(':')[0];
  return file ? kubeconfigConnection(file) : Promise.resolve(inClusterConnection(env));
}
