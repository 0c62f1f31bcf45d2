import { request } from 'undici';
import type { Clock } from './clock.ts';
import type { Connection } from './connection.ts';
import { ApiError, SilenceError } from './errors.ts';
import type { StatusBody } from './errors.ts';
import { silenceGuard, splitLines } from './lines.ts';
import { apiVersionOf, pathOf } from './objects.ts';
import type { KubeObject, ResourceType } from './objects.ts';

/** A page of a list. */
export interface Page<T extends KubeObject> {
  items: T[];
  /** where a watch starts that is to miss no change */
  resourceVersion: string;
  /** the token of the next page; undefined after the last one */
  next: string | undefined;
}

/** An event of a watch. A BOOKMARK says how far the watch is, and has no object. */
type WatchEvent<T extends KubeObject> =
  { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T } | { type: 'BOOKMARK'; resourceVersion: string };

interface WatchOptions {
  namespace: string | undefined;
  resourceVersion: string;
  labelSelector: string | undefined;
  fieldSelector?: string | undefined;
  /** the time after which the server ends the watch */
  timeoutSeconds: number;
  /** a connection that brings no byte for that long counts as dead */
  silenceMs: number;
  /** measures the silence */
  clock: Clock;
  signal: AbortSignal;
}

/** Called for each request after its response or failure. */
export type OnRequest = (request: { verb: string; type: ResourceType; status: number }) => void;

/** Options of a call for one object. */
interface ObjectOptions {
  signal?: AbortSignal | undefined;
  /** only this part of the object */
  subresource?: 'status' | 'scale';
}

const requestMs = 30_000;

/** The REST API of Kubernetes, as far as controllers need it. Objects are the JSON of the API. */
export class Api {
  readonly #connection: Connection;
  readonly #onRequest: OnRequest;

  constructor(connection: Connection, onRequest: OnRequest = () => undefined) {
    this.#connection = connection;
    this.#onRequest = onRequest;
  }

  /** @returns undefined where the object does not exist */
  async get<T extends KubeObject>(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    { signal, subresource }: ObjectOptions = {},
  ): Promise<T | undefined> {
    try {
      return await this.#call<T>('get', type, 'GET', pathOf(type, namespace, name, subresource), { signal });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  /** Reads one page of a list. @param next the token from the page before */
  async list<T extends KubeObject>(
    type: ResourceType,
    options: {
      namespace?: string | undefined;
      labelSelector?: string | undefined;
      fieldSelector?: string | undefined;
      limit?: number;
      next?: string | undefined;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<Page<T>> {
    const { namespace, labelSelector, fieldSelector, limit, next, signal } = options;
    const query = {
      labelSelector,
      fieldSelector,
      limit: limit === undefined ? undefined : String(limit),
      continue: next,
    };
    const { items, metadata } = await this.#call<{
      items: T[];
      metadata: { resourceVersion: string; continue?: string };
    }>('list', type, 'GET', pathOf(type, namespace), { query, signal });
    // items in lists of built-in kinds have no apiVersion and no kind
    for (const item of items) {
      item.apiVersion ??= apiVersionOf(type);
      item.kind ??= type.kind;
    }
    return { items, resourceVersion: metadata.resourceVersion, next: metadata.continue || undefined };
  }

  /** @throws ApiError 409 where an object of that name exists */
  create<T extends KubeObject>(type: ResourceType, object: T, { signal }: ObjectOptions = {}): Promise<T> {
    return this.#call<T>('create', type, 'POST', pathOf(type, object.metadata.namespace), { body: object, signal });
  }

  /** Writes the whole object. @throws ApiError 409 where the object has changed since it was read */
  replace<T extends KubeObject>(
    type: ResourceType,
    object: T,
    { signal, subresource }: ObjectOptions = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.#call<T>('update', type, 'PUT', pathOf(type, namespace, name, subresource), { body: object, signal });
  }

  /**
   * Server-side apply: `manager` becomes the owner of the fields of `object`. The server removes the fields that `manager`
   * applied before and that `object` no longer has, and keeps the fields of other managers.
   */
  apply<T extends KubeObject>(
    type: ResourceType,
    object: KubeObject,
    manager: string,
    { signal, subresource }: ObjectOptions = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.#call<T>('apply', type, 'PATCH', pathOf(type, namespace, name, subresource), {
      body: object,
      query: { fieldManager: manager, force: 'true' },
      contentType: 'application/apply-patch+yaml',
      signal,
    });
  }

  /** A JSON merge patch: null removes a field. */
  patch<T extends KubeObject>(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    body: object,
    { signal, subresource, manager }: ObjectOptions & { manager?: string } = {},
  ): Promise<T> {
    return this.#call<T>('patch', type, 'PATCH', pathOf(type, namespace, name, subresource), {
      body,
      query: { fieldManager: manager },
      contentType: 'application/merge-patch+json',
      signal,
    });
  }

  /**
   * Deletes an object, which exists until its finalizers are removed. It is no error if the object does not exist.
   * @param uid the object is deleted only if it has this uid, so that a new object of the same name stays
   */
  async delete(
    type: ResourceType,
    namespace: string | undefined,
    name: string,
    { signal, uid }: { signal?: AbortSignal | undefined; uid?: string | undefined } = {},
  ): Promise<void> {
    const body = {
      kind: 'DeleteOptions',
      apiVersion: 'v1',
      propagationPolicy: 'Background',
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    };
    try {
      await this.#call('delete', type, 'DELETE', pathOf(type, namespace, name), { body, signal });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  /**
   * The changes of a collection after a resource version, until the server ends the watch.
   * @throws ApiError, for an ERROR event as well; SilenceError; or the error of the connection
   */
  async *watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const { namespace, resourceVersion, labelSelector, fieldSelector, timeoutSeconds, silenceMs, clock, signal } =
      options;
    const guard = silenceGuard(silenceMs, signal, clock);
    try {
      const response = await this.#send('watch', type, 'GET', pathOf(type, namespace), {
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          resourceVersion,
          labelSelector,
          fieldSelector,
          timeoutSeconds: String(timeoutSeconds),
        },
        signal: guard.signal,
        watch: true,
      });
      for await (const line of splitLines(response, guard.heard)) yield eventOf<T>(JSON.parse(line) as RawEvent);
    } catch (error) {
      throw guard.silent() ? new SilenceError(silenceMs) : error;
    } finally {
      guard.end();
    }
  }

  async #call<Body>(verb: string, type: ResourceType, method: Method, path: string, options: CallOptions) {
    const body = await this.#send(verb, type, method, path, options);
    return (await body.json()) as Body;
  }

  async #send(verb: string, type: ResourceType, method: Method, path: string, options: CallOptions) {
    const { query = {}, body, contentType = 'application/json', signal, watch = false } = options;
    const { server, requests, watches, headers } = this.#connection;
    const url = new URL(server + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    let status = 0;
    try {
      const response = await request(url, {
        method,
        dispatcher: watch ? watches : requests,
        headers: {
          ...(await headers()),
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': contentType }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        headersTimeout: requestMs,
        bodyTimeout: watch ? 0 : requestMs, // the silence guard watches over a watch
        ...(signal ? { signal } : {}),
      });
      status = response.statusCode;
      if (status < 400) return response.body;
      throw await errorOf(status, response.headers['retry-after'], response.body);
    } finally {
      this.#onRequest({ verb, type, status });
    }
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface CallOptions {
  query?: Record<string, string | undefined>;
  body?: object;
  contentType?: string;
  signal?: AbortSignal | undefined;
  watch?: boolean;
}

type RawEvent =
  { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK'; object: KubeObject } | { type: 'ERROR'; object: StatusBody };

function eventOf<T extends KubeObject>(event: RawEvent): WatchEvent<T> {
  if (event.type === 'ERROR') throw new ApiError(event.object.code ?? 500, event.object);
  const { type, object } = event;
  if (type === 'BOOKMARK') return { type, resourceVersion: object.metadata.resourceVersion ?? '' };
  return { type, object: object as T };
}

async function errorOf(
  status: number,
  retryAfter: string | string[] | undefined,
  body: { text(): Promise<string> },
): Promise<ApiError> {
  const text = await body.text();
  const seconds = Number(retryAfter);
  return new ApiError(status, statusBody(text), seconds > 0 ? seconds * 1000 : undefined);
}

/** The Status in a body; proxies and load balancers answer with a body of another form, which becomes the message. */
function statusBody(text: string): StatusBody {
  try {
    const body = JSON.parse(text) as StatusBody;
    if (body.kind === 'Status') return body;
  } catch {
    // no JSON: the message quotes it
  }
  return { message: text.slice(0, 200) };
}
