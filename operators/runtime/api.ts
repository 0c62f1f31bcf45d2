import { request } from 'undici';
import type { Connection } from './connection.ts';
import { ApiError, SilenceError } from './errors.ts';
import type { StatusBody } from './errors.ts';
import { silenceGuard, splitLines } from './lines.ts';
import { apiVersionOf, pathOf } from './objects.ts';
import type { KubeObject, ResourceType } from './objects.ts';

/** A page of a list. */
export interface Page<T extends KubeObject> {
  items: T[];
  /** from where a watch goes on */
  resourceVersion: string;
  /** asks for the next page; undefined after the last */
  next: string | undefined;
}

/** What a watch tells. `object` of a BOOKMARK has only a resource version. */
type WatchEvent<T extends KubeObject> =
  { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T } | { type: 'BOOKMARK'; resourceVersion: string };

interface WatchOptions {
  namespace: string | undefined;
  resourceVersion: string;
  labelSelector: string | undefined;
  /** the server ends the watch after that, in seconds */
  timeoutSeconds: number;
  /** without a byte for that long, in milliseconds, the connection counts as dead */
  silenceMs: number;
  signal: AbortSignal;
}

/** Told of each request, when its answer or failure is there. */
export type OnRequest = (request: { verb: string; type: ResourceType; status: number }) => void;

/** Of a call that is about one object. */
interface ObjectOptions {
  signal?: AbortSignal | undefined;
  /** only this part of it */
  subresource?: 'status' | 'scale';
}

const requestMs = 30_000;

/** The REST API of Kubernetes, as far as controllers need it, in the API's own JSON. */
export class Api {
  readonly #connection: Connection;
  readonly #onRequest: OnRequest;

  constructor(connection: Connection, onRequest: OnRequest = () => undefined) {
    this.#connection = connection;
    this.#onRequest = onRequest;
  }

  /** @returns undefined where there is no such object */
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

  /** One page of a list. @param next what the page before said */
  async list<T extends KubeObject>(
    type: ResourceType,
    options: {
      namespace?: string | undefined;
      labelSelector?: string | undefined;
      limit?: number;
      next?: string | undefined;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<Page<T>> {
    const { namespace, labelSelector, limit, next, signal } = options;
    const query = { labelSelector, limit: limit === undefined ? undefined : String(limit), continue: next };
    const { items, metadata } = await this.#call<{
      items: T[];
      metadata: { resourceVersion: string; continue?: string };
    }>('list', type, 'GET', pathOf(type, namespace), { query, signal });
    // lists of the built-in kinds leave out what each item is
    for (const item of items) {
      item.apiVersion ??= apiVersionOf(type);
      item.kind ??= type.kind;
    }
    return { items, resourceVersion: metadata.resourceVersion, next: metadata.continue || undefined };
  }

  /** @throws ApiError 409 where the name is taken */
  create<T extends KubeObject>(type: ResourceType, object: T, { signal }: ObjectOptions = {}): Promise<T> {
    return this.#call<T>('create', type, 'POST', pathOf(type, object.metadata.namespace), { body: object, signal });
  }

  /** Writes the whole object. @throws ApiError 409 where it is not the version that `object` was read as */
  replace<T extends KubeObject>(
    type: ResourceType,
    object: T,
    { signal, subresource }: ObjectOptions = {},
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.#call<T>('update', type, 'PUT', pathOf(type, namespace, name, subresource), { body: object, signal });
  }

  /**
   * Server-side apply: the fields of `object` become `manager`'s and get these values, fields that it had applied before
   * and that are gone now are removed, and everybody else's stay.
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
   * Deletes an object, which stays while it has finalizers. One that is not there is no error.
   * @param uid only that very object, not a new one of the same name
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
   * The changes of a collection after a resource version. Ends when the server ends it.
   * @throws ApiError, also for an ERROR event, SilenceError, or what the connection failed with
   */
  async *watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent<T>> {
    const { namespace, resourceVersion, labelSelector, timeoutSeconds, silenceMs, signal } = options;
    const guard = silenceGuard(silenceMs, signal);
    try {
      const response = await this.#send('watch', type, 'GET', pathOf(type, namespace), {
        query: {
          watch: 'true',
          allowWatchBookmarks: 'true',
          resourceVersion,
          labelSelector,
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
        bodyTimeout: watch ? 0 : requestMs, // a watch is minded by its own guard
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

/** Proxies and load balancers answer in their own words. */
function statusBody(text: string): StatusBody {
  try {
    const body = JSON.parse(text) as StatusBody;
    if (body.kind === 'Status') return body;
  } catch {
    // no JSON: quoted below
  }
  return { message: text.slice(0, 200) };
}
