import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connectionTo } from '../connection.ts';
import type { Connection } from '../connection.ts';
import { pathOf } from '../objects.ts';
import type { KubeObject, ResourceType } from '../objects.ts';
import { ApiStatus, apiStatus } from './api-status.ts';
import { FakeStore } from './fake-store.ts';
import type { ResourcePath, StoredEvent } from './fake-store.ts';

/** A request that the server has received. */
interface SeenRequest {
  verb: 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';
  path: string;
  /** of a list or a watch */
  resourceVersion: string | null;
  fieldSelector: string | null;
  labelSelector: string | null;
  /** whether an apply has created its object: that needs a right of its own */
  created: boolean;
  at: number;
}

interface Watcher {
  collection: string;
  namespace: string | undefined;
  fieldSelector: string | null;
  labelSelector: string | null;
  response: ServerResponse;
}

/**
 * An API server on the loopback interface. It speaks the HTTP of the API, keeps objects of any kind in memory, and fails as the
 * real one does when a test tells it to: 503, 410, connections that are reset, silent watches, a stop and a start.
 */
export class FakeApiServer {
  /** every request since the start or the last `forget` */
  requests: SeenRequest[] = [];
  readonly #store = new FakeStore((event) => this.#publish(event));
  readonly #watchers = new Set<Watcher>();
  readonly #sockets = new Set<Socket>();
  #events: StoredEvent[] = [];
  #oldest = 0;
  #silent = false;
  #failures: { status: number; times: number; matches: (request: SeenRequest) => boolean; retryAfter?: number }[] = [];
  /** by collection */
  readonly #undeclared = new Map<string, readonly string[]>();
  #server: Server;
  #port = 0;

  constructor() {
    this.#server = this.#newServer();
  }

  /** Listens; after a stop on the same port as before. */
  async start(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Closes every connection and the port; the objects stay. */
  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.reset();
    await closed;
    this.#server = this.#newServer();
  }

  connection(): Connection {
    return connectionTo(`http://127.0.0.1:${this.#port}`);
  }

  /** Resets every connection, as a load balancer does when it fails. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Ends every watch in order, as the server does at its timeout. */
  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
  }

  /** Open watches bring nothing any more, though their connections stay; new ones bring nothing if opened before `speak`. */
  silence(): void {
    this.#silent = true;
    this.#watchers.clear();
  }

  speak(): void {
    this.#silent = false;
  }

  /** Removes old versions, as the compaction of etcd does: a watch from one of them gets 410. */
  compact(): void {
    this.#events = [];
    this.#oldest = this.#store.version;
  }

  /** Sends each open watch the error that its version is gone. */
  expireWatches(): void {
    const { body } = apiStatus(410, 'Expired', 'too old resource version');
    for (const { response } of this.#watchers) response.end(`${JSON.stringify({ type: 'ERROR', object: body })}\n`);
  }

  /** Sends each watch a bookmark. */
  bookmark(): void {
    for (const watcher of this.#watchers) send(watcher, 'BOOKMARK', { metadata: { resourceVersion: this.version } });
  }

  /** Fails the next requests that match. */
  fail(
    status: number,
    times: number,
    matches: (request: SeenRequest) => boolean = () => true,
    retryAfter?: number,
  ): void {
    this.#failures.push({ status, times, matches, ...(retryAfter === undefined ? {} : { retryAfter }) });
  }

  /** From now on the schema of a kind has these fields of the status no more, or has them again. */
  undeclare(type: ResourceType, fields: readonly string[]): void {
    this.#undeclared.set(pathOf(type), fields);
  }

  get version(): string {
    return String(this.#store.version);
  }

  /** The number of open watches. */
  get watching(): number {
    return this.#watchers.size;
  }

  /** The requests since the last `forget` that change something. */
  get writes(): SeenRequest[] {
    return this.requests.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
  }

  count(verb: SeenRequest['verb']): number {
    return this.requests.filter((request) => request.verb === verb).length;
  }

  forget(): void {
    this.requests = [];
  }

  /** Creates an object without a request. */
  create(type: ResourceType, object: KubeObject): KubeObject {
    return this.#store.create(resourcePathOf(type, object.metadata.namespace), object);
  }

  patch(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    patch: object,
    subresource?: string,
  ): KubeObject {
    return this.#store.patch(
      { ...resourcePathOf(type, namespace, name), subresource },
      patch as Record<string, unknown>,
    );
  }

  delete(type: ResourceType, namespace: string | undefined, name: string): KubeObject {
    return this.#store.delete(resourcePathOf(type, namespace, name));
  }

  /** @returns undefined where the object does not exist */
  find<T extends KubeObject>(type: ResourceType, namespace: string | undefined, name: string): T | undefined {
    return this.all<T>(type).find(({ metadata }) => metadata.name === name && metadata.namespace === namespace);
  }

  all<T extends KubeObject>(type: ResourceType): T[] {
    return this.#store.list(resourcePathOf(type, undefined)) as T[];
  }

  #newServer(): Server {
    const server = createServer((request, response) => void this.#answer(request, response));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url!, 'http://server');
      const path = parsePath(url.pathname);
      const seen: SeenRequest = {
        verb: verbOf(request.method!, path, url.searchParams),
        path: url.pathname,
        resourceVersion: url.searchParams.get('resourceVersion'),
        fieldSelector: url.searchParams.get('fieldSelector'),
        labelSelector: url.searchParams.get('labelSelector'),
        created: false,
        at: performance.now(),
      };
      this.requests.push(seen);
      this.#failIfTold(seen, response);
      const body = await readJson(request);
      if (seen.verb === 'watch') this.#watch(path, seen, response);
      else
        sendJson(response, seen.verb === 'create' ? 201 : 200, this.#do(seen, path, url.searchParams, request, body));
    } catch (error) {
      const { code, body } = error instanceof ApiStatus ? error : apiStatus(500, 'InternalError', String(error));
      sendJson(response, code, body);
    }
  }

  #failIfTold(seen: SeenRequest, response: ServerResponse): void {
    const failure = this.#failures.find(({ times, matches }) => times > 0 && matches(seen));
    if (!failure) return;
    failure.times -= 1;
    if (failure.retryAfter !== undefined) response.setHeader('retry-after', String(failure.retryAfter));
    throw apiStatus(failure.status, 'Failure', 'the server has been told to fail');
  }

  #do(seen: SeenRequest, path: ResourcePath, query: URLSearchParams, request: IncomingMessage, body: unknown): object {
    switch (seen.verb) {
      case 'get':
        return this.#store.get(path);
      case 'list':
        return this.#list(path, query);
      case 'create':
        return this.#store.create(path, body as KubeObject);
      case 'update':
        return this.#store.update(path, body as KubeObject);
      case 'delete':
        return this.#store.delete(path, (body as { preconditions?: { uid?: string } } | undefined)?.preconditions?.uid);
      default:
        if (!request.headers['content-type']?.startsWith('application/apply-patch'))
          return this.#store.patch(path, body as Record<string, unknown>);
        this.#checkSchema(path, body as object);
        seen.created = !this.#store.has(path);
        return this.#store.apply(path, body as KubeObject, query.get('fieldManager') ?? 'nobody');
    }
  }

  /** Kubernetes answers with 500, as if the failure was its own. */
  #checkSchema({ collection }: ResourcePath, { status = {} }: { status?: object }): void {
    const unknown = (this.#undeclared.get(collection) ?? []).filter((field) => field in status);
    if (unknown.length === 0) return;
    const errors = unknown.map((field) => `.status.${field}: field not declared in schema`);
    throw apiStatus(500, '', `failed to create typed patch object (an object): errors:\n  ${errors.join('\n  ')}`);
  }

  /** A `continue` token has the version of the first page and the position of the next one. */
  #list(path: ResourcePath, query: URLSearchParams): object {
    const all = this.#store
      .list(path)
      .filter((object) => isSelected(object, query.get('labelSelector')))
      .filter((object) => isNamed(object, query.get('fieldSelector')));
    const [version = this.version, from = '0'] = query.get('continue')?.split(':') ?? [];
    if (Number(version) < this.#oldest) throw apiStatus(410, 'Expired', 'the continue token is too old');
    const limit = Number(query.get('limit') ?? all.length) || all.length;
    const end = Number(from) + limit;
    const more = end < all.length ? { continue: `${version}:${end}` } : {};
    return {
      kind: 'List',
      apiVersion: 'v1',
      metadata: { resourceVersion: version, ...more },
      items: all.slice(Number(from), end),
    };
  }

  #watch(path: ResourcePath, seen: SeenRequest, response: ServerResponse): void {
    const { resourceVersion, fieldSelector, labelSelector } = seen;
    const from = Number(resourceVersion ?? 0);
    if (from < this.#oldest) throw apiStatus(410, 'Expired', `too old resource version: ${from} (${this.#oldest})`);
    const { collection, namespace } = path;
    const watcher = { collection, namespace, fieldSelector, labelSelector, response };
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    if (this.#silent) return;
    this.#watchers.add(watcher);
    response.once('close', () => this.#watchers.delete(watcher));
    for (const event of this.#events) if (event.version > from) deliver(watcher, event);
  }

  #publish(event: StoredEvent): void {
    this.#events.push(event);
    for (const watcher of this.#watchers) deliver(watcher, event);
  }
}

function resourcePathOf(type: ResourceType, namespace: string | undefined, name?: string): ResourcePath {
  return { collection: pathOf(type), namespace: type.namespaced ? namespace : undefined, name, subresource: undefined };
}

const pathPattern =
  /^(?<root>\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+)(?:\/(?<subresource>[^/]+))?)?$/;

function parsePath(pathname: string): ResourcePath {
  const groups = pathPattern.exec(pathname)?.groups;
  if (!groups) throw apiStatus(404, 'NotFound', `nothing at ${pathname}`);
  const { root, plural, namespace, name, subresource } = groups;
  return { collection: `${root}/${plural}`, namespace, name, subresource };
}

function verbOf(method: string, path: ResourcePath, query: URLSearchParams): SeenRequest['verb'] {
  if (method === 'GET' && path.name !== undefined) return 'get';
  if (method === 'GET') return query.get('watch') === 'true' ? 'watch' : 'list';
  return ({ POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' } as const)[method as 'POST'];
}

/** @param selector `name=value`, of which several may be separated by commas */
function isSelected({ metadata: { labels = {} } }: KubeObject, selector: string | null): boolean {
  const wanted = (selector ?? '').split(',').filter(Boolean);
  return wanted.every((one) => labels[one.split('=')[0]!] === one.split('=')[1]);
}

/** @param selector `metadata.name=value` */
const isNamed = ({ metadata }: KubeObject, selector: string | null): boolean =>
  selector === null || selector === `metadata.name=${metadata.name}`;

function deliver(watcher: Watcher, event: StoredEvent): void {
  if (event.collection !== watcher.collection) return;
  if (watcher.namespace !== undefined && event.object.metadata.namespace !== watcher.namespace) return;
  if (!isNamed(event.object, watcher.fieldSelector)) return;
  if (isSelected(event.object, watcher.labelSelector)) send(watcher, event.type, event.object);
  // what a change takes out of the selection is gone for the watcher
  else if (event.type === 'MODIFIED') send(watcher, 'DELETED', event.object);
}

function send({ response }: Watcher, type: string, object: object): void {
  response.write(`${JSON.stringify({ type, object })}\n`);
}

function sendJson(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 0 ? undefined : JSON.parse(Buffer.concat(chunks).toString());
}
