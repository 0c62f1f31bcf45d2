import { RuntimeError } from './catalogue.ts';

/** What every object of the API has. Objects are JSON as the server sends it: a time is a string. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  /** increases with each change of the spec */
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFields[];
}

interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** The fields that a manager has set. */
export interface ManagedFields {
  manager: string;
  operation: string;
  subresource?: string;
  fieldsV1?: Record<string, unknown>;
}

/** An object with a spec and with a status as a subresource. */
export interface Resource<Spec = unknown, Status = unknown> extends KubeObject {
  spec: Spec;
  status?: Status;
}

/** A kind of objects, and where the API serves it. */
export interface ResourceType {
  /** empty: the core group */
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
}

export function apiVersionOf({ group, version }: Pick<ResourceType, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/**
 * The path of a collection, or of an object in it.
 * @param namespace undefined: the collection over all namespaces
 */
export function pathOf(type: ResourceType, namespace?: string, name?: string, subresource?: string): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${type.plural}${object}${subresource === undefined ? '' : `/${subresource}`}`;
}

/** `namespace/name`, or the name alone where the kind has no namespaces. */
export function keyOf({ metadata: { namespace, name } }: Pick<KubeObject, 'metadata'>): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The reference with which Kubernetes deletes an object together with `owner`. @throws where the owner has no uid */
export function ownerReference(owner: KubeObject): OwnerReference {
  const { uid, name } = owner.metadata;
  if (uid === undefined)
    throw new RuntimeError('ERR_OPERATOR_OWNER', `${owner.kind} ${name} has no uid: it does not come from the API`);
  const { apiVersion, kind } = owner;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** The name of the owner that controls an object, if it is of this kind. */
export function controllerOf(object: Pick<KubeObject, 'metadata'>, kind: string): string | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true && owner.kind === kind)?.name;
}
