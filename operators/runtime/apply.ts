import type { Api } from './api.ts';
import { hash, isObject } from './compare.ts';
import { covers, disowns, owns } from './owned-fields.ts';
import { keyOf } from './objects.ts';
import type { KubeObject, ResourceType } from './objects.ts';

/** The last apply of an object: the hash of what was desired, and the version that the server answered with. */
interface Applied {
  desired: string;
  resourceVersion: string;
}

type ApplyResult<T extends KubeObject> = { object: T; written: boolean };

/**
 * Server-side apply with one field manager. It writes only where something would change: where the observed object lacks a
 * desired value, or has a field of this manager that is no longer desired. A value that the server stores in another form
 * (`1000m` becomes `1`) looks like a change once; after that the result of the last apply shows that nothing changes.
 */
export class Applier {
  readonly #api: Api;
  readonly #manager: string;
  readonly #last = new Map<string, Applied>();

  constructor(api: Api, manager: string) {
    this.#api = api;
    this.#manager = manager;
  }

  /**
   * Applies an object if that changes anything.
   * @param observed the object from a cache whose `transform` is `trimManagedFields`; undefined where it does not exist
   */
  async apply<T extends KubeObject>(
    type: ResourceType,
    desired: KubeObject,
    observed: T | undefined,
    signal?: AbortSignal,
  ): Promise<ApplyResult<T>> {
    const key = `${type.group}/${type.kind}/${keyOf(desired)}`;
    const desiredHash = hash(desired);
    if (observed) {
      const last = this.#last.get(key);
      const same = last?.desired === desiredHash && last.resourceVersion === observed.metadata.resourceVersion;
      if (same || !needsApply(desired, observed, this.#manager)) return { object: observed, written: false };
    }
    const object = await this.#api.apply<T>(type, desired, this.#manager, { signal });
    this.#last.set(key, { desired: desiredHash, resourceVersion: object.metadata.resourceVersion ?? '' });
    return { object, written: true };
  }

  /** Forgets the last apply of an object that was deleted. */
  forget(type: ResourceType, object: Pick<KubeObject, 'metadata'>): void {
    this.#last.delete(`${type.group}/${type.kind}/${keyOf(object)}`);
  }
}

/** Whether applying `desired` as `manager` would change anything of `observed`. */
export function needsApply(desired: KubeObject, observed: KubeObject, manager: string): boolean {
  const { apiVersion: _a, kind: _k, ...wanted } = desired;
  if (!covers(observed, wanted)) return true;
  const entry = observed.metadata.managedFields?.find(
    (fields) => fields.manager === manager && fields.operation === 'Apply' && fields.subresource === undefined,
  );
  if (!isObject(entry?.fieldsV1)) return true;
  const { name: _n, namespace: _s, uid: _u, ...metadata } = desired.metadata;
  const owned = { ...wanted, metadata: Object.keys(metadata).length > 0 ? metadata : undefined };
  return disowns(entry.fieldsV1, desired) || !owns(entry.fieldsV1, owned);
}

/** An object with no managed fields but those that `manager` has applied: a cache need not hold the rest. */
export function trimManagedFields<T extends KubeObject>(object: T, manager: string): T {
  const own = object.metadata.managedFields?.filter((entry) => entry.manager === manager && !entry.subresource);
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata: own && own.length > 0 ? { ...metadata, managedFields: own } : metadata };
}
