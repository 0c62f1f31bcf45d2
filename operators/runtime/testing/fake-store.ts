import { apiStatus } from './api-status.ts';
import { equal, isObject } from '../compare.ts';
import type { KubeObject, ManagedFields } from '../objects.ts';

type Json = Record<string, unknown>;

export interface StoredEvent {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** `/apis/group/version/plural`, without a namespace */
  collection: string;
  object: KubeObject;
}

/** The target of a request: a collection, in one namespace or in all, or an object in it. */
export interface ResourcePath {
  collection: string;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

/** Keeps objects by the rules of the API server for versions, generations, finalizers, field managers and the status. */
export class FakeStore {
  readonly #objects = new Map<string, KubeObject>();
  /** the last apply of each manager */
  readonly #applied = new Map<string, Map<string, Json>>();
  readonly #onEvent: (event: StoredEvent) => void;
  #version = 1000;

  constructor(onEvent: (event: StoredEvent) => void) {
    this.#onEvent = onEvent;
  }

  get version(): number {
    return this.#version;
  }

  list({ collection, namespace }: ResourcePath): KubeObject[] {
    const prefix = namespace === undefined ? `${collection} ` : `${collection} ${namespace}/`;
    return [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object);
  }

  has(path: ResourcePath): boolean {
    return this.#objects.has(keyOf(path));
  }

  get(path: ResourcePath): KubeObject {
    const found = this.#objects.get(keyOf(path));
    if (!found) throw apiStatus(404, 'NotFound', `${path.collection} "${path.name}" not found`);
    return found;
  }

  create(path: ResourcePath, body: KubeObject): KubeObject {
    const at = { ...path, name: body.metadata.name, namespace: body.metadata.namespace ?? path.namespace };
    if (this.#objects.has(keyOf(at))) throw apiStatus(409, 'AlreadyExists', `"${at.name}" already exists`);
    const metadata = {
      ...body.metadata,
      ...(at.namespace === undefined ? {} : { namespace: at.namespace }),
      uid: body.metadata.uid ?? `uid-${this.#version + 1}`,
      creationTimestamp: new Date().toISOString(),
      generation: 1,
    };
    return this.#put(at, { ...body, metadata }, 'ADDED');
  }

  /** Replaces the object, or only its status. */
  update(path: ResourcePath, body: KubeObject): KubeObject {
    const before = this.get(path);
    const { resourceVersion } = body.metadata;
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
      throw apiStatus(409, 'Conflict', 'the object has been modified; please apply your changes to the latest version');
    }
    const after = merged(before, body, path.subresource);
    if (equal(before, after)) return before;
    if (after.metadata.deletionTimestamp !== undefined && (after.metadata.finalizers ?? []).length === 0) {
      return this.#remove(path, after);
    }
    return this.#put(path, after, 'MODIFIED');
  }

  /** Applies a merge patch. */
  patch(path: ResourcePath, patch: Json): KubeObject {
    const before = this.get(path);
    const version = (patch['metadata'] as Json | undefined)?.['resourceVersion'];
    const body = mergePatch(before as unknown as Json, patch) as unknown as KubeObject;
    const resourceVersion = (version as string | undefined) ?? before.metadata.resourceVersion!;
    return this.update(path, { ...body, metadata: { ...body.metadata, resourceVersion } });
  }

  /** Server-side apply; it replaces lists as a whole. */
  apply(path: ResourcePath, config: KubeObject, manager: string): KubeObject {
    const key = keyOf(path);
    const exists = this.#objects.has(key);
    if (!exists && path.subresource !== undefined) throw apiStatus(404, 'NotFound', `"${path.name}" not found`);
    const before = exists ? this.get(path) : this.create(path, { ...config, metadata: { ...config.metadata } });
    const wantedVersion = exists ? config.metadata.resourceVersion : undefined;
    if (wantedVersion !== undefined && wantedVersion !== before.metadata.resourceVersion) {
      throw apiStatus(409, 'Conflict', 'the object has been modified');
    }
    const appliers = this.#applied.get(key) ?? new Map<string, Json>();
    this.#applied.set(key, appliers);
    const owner = path.subresource === undefined ? manager : `${manager} ${path.subresource}`;
    const { apiVersion: _a, kind: _k, ...fields } = config as unknown as Json;
    const old = appliers.get(owner) ?? {};
    const others = [...appliers].filter(([name]) => name !== owner).map(([, applied]) => applied);
    const gone = removed(old, fields, others);
    const wanted = mergePatch(mergePatch(before as unknown as Json, gone), fields) as unknown as KubeObject;
    appliers.set(owner, fields);
    const managedFields = [...appliers].map(([name, applied]): ManagedFields => {
      const [by = name, subresource] = name.split(' ');
      return { manager: by, operation: 'Apply', ...(subresource ? { subresource } : {}), fieldsV1: fieldsOf(applied) };
    });
    const { resourceVersion } = before.metadata;
    return this.update(path, {
      ...wanted,
      metadata: { ...wanted.metadata, resourceVersion: resourceVersion!, managedFields },
    });
  }

  delete(path: ResourcePath, uid?: string): KubeObject {
    const before = this.get(path);
    if (uid !== undefined && uid !== before.metadata.uid) throw apiStatus(409, 'Conflict', 'another uid');
    if ((before.metadata.finalizers ?? []).length === 0) return this.#remove(path, before);
    if (before.metadata.deletionTimestamp !== undefined) return before;
    const metadata = { ...before.metadata, deletionTimestamp: new Date().toISOString() };
    return this.#put(path, { ...before, metadata }, 'MODIFIED');
  }

  #put(path: ResourcePath, object: KubeObject, type: 'ADDED' | 'MODIFIED'): KubeObject {
    const stored = this.#next(object);
    this.#objects.set(keyOf(path), stored);
    this.#onEvent({ version: this.#version, type, collection: path.collection, object: stored });
    return stored;
  }

  #remove(path: ResourcePath, object: KubeObject): KubeObject {
    this.#objects.delete(keyOf(path));
    this.#applied.delete(keyOf(path));
    const stored = this.#next(object);
    this.#onEvent({ version: this.#version, type: 'DELETED', collection: path.collection, object: stored });
    return stored;
  }

  #next(object: KubeObject): KubeObject {
    this.#version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
  }
}

function keyOf({ collection, namespace, name }: ResourcePath): string {
  return `${collection} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** A request to the status subresource changes only the status; one without it changes everything else. */
function merged(before: KubeObject, body: KubeObject, subresource: string | undefined): KubeObject {
  const { status: oldStatus, ...oldRest } = before as KubeObject & { status?: unknown };
  const { status: newStatus, ...newRest } = body as KubeObject & { status?: unknown };
  if (subresource === 'status') {
    const managedFields = body.metadata.managedFields ?? before.metadata.managedFields;
    const metadata = { ...before.metadata, ...(managedFields ? { managedFields } : {}) };
    return { ...oldRest, metadata, ...(newStatus === undefined ? {} : { status: newStatus }) } as KubeObject;
  }
  const { uid, creationTimestamp, generation = 1, resourceVersion, deletionTimestamp } = before.metadata;
  const kept = { uid, creationTimestamp, resourceVersion, ...(deletionTimestamp ? { deletionTimestamp } : {}) };
  const { metadata: _o, ...oldSpec } = oldRest;
  const { metadata: _n, ...newSpec } = newRest;
  const metadata = {
    ...body.metadata,
    ...kept,
    generation: equal(oldSpec, newSpec) ? generation : generation + 1,
  };
  return { ...newRest, metadata, ...(oldStatus === undefined ? {} : { status: oldStatus }) } as KubeObject;
}

function mergePatch(target: Json, patch: Json): Json {
  const result = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    const old = result[name];
    if (value === null) delete result[name];
    else if (isObject(value)) result[name] = mergePatch(isObject(old) ? old : {}, value);
    else result[name] = value;
  }
  return result;
}

/** The patch that removes the fields that only this manager has applied, and no longer applies. */
function removed(old: Json, now: Json, others: Json[]): Json {
  const patch: Json = {};
  for (const [name, value] of Object.entries(old)) {
    const members = others.map((other) => other[name]).filter((member) => member !== undefined);
    if (isObject(value)) {
      const inner = removed(value, isObject(now[name]) ? now[name] : {}, members.filter(isObject));
      if (Object.keys(inner).length > 0) patch[name] = inner;
    } else if (now[name] === undefined && members.length === 0) patch[name] = null;
  }
  return patch;
}

function fieldsOf(config: Json): Json {
  const steps = Object.entries(config)
    .filter(([name]) => !['name', 'namespace', 'uid', 'resourceVersion'].includes(name))
    .map(([name, value]) => [`f:${name}`, isObject(value) ? fieldsOf(value) : {}] as const);
  return Object.fromEntries(steps);
}
