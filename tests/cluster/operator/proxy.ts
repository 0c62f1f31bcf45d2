import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, isIP } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

interface Kubeconfig {
  'current-context': string;
  contexts: { name: string; context: { cluster: string } }[];
  clusters: { name: string; cluster: { server: string; 'tls-server-name'?: string } }[];
}

/**
 * A TCP proxy before the API server. It simulates outages, resets and silence for one client, without effect on other
 * users of the cluster.
 */
export class ApiProxy {
  readonly #dir = mkdtempSync(join(tmpdir(), 'api-proxy-'));
  readonly #original: Kubeconfig;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(kubeconfig: string) {
    this.#original = parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
  }

  /** A kubeconfig with the address of this proxy; it exists after the start. */
  get kubeconfig(): string {
    return join(this.#dir, 'kubeconfig');
  }

  async start(): Promise<void> {
    this.#server = createServer((client) => this.#join(client));
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    const changed = structuredClone(this.#original);
    const { cluster } = currentCluster(changed);
    const { hostname } = new URL(cluster.server);
    cluster.server = `https://127.0.0.1:${this.#port}`;
    if (!isIP(hostname)) cluster['tls-server-name'] ??= hostname;
    writeFileSync(this.kubeconfig, stringify(changed), { mode: 0o600 });
  }

  /** Cuts every connection, and refuses new ones until `start`. */
  async stop(): Promise<void> {
    const server = this.#server!;
    const closed = once(server, 'close');
    server.close();
    this.reset();
    await closed;
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Makes the present connections silent; they stay open. */
  silence(): void {
    for (const socket of this.#sockets) socket.unpipe().pause();
  }

  async close(): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true });
  }

  #join(client: Socket): void {
    const { hostname, port } = new URL(currentCluster(this.#original).cluster.server);
    const server = connect(Number(port || 443), hostname);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(server);
    server.pipe(client);
  }
}

function currentCluster(config: Kubeconfig) {
  const { context } = config.contexts.find(({ name }) => name === config['current-context'])!;
  return config.clusters.find(({ name }) => name === context.cluster)!;
}
