import type { Api } from './api.ts';
import type { KubeObject, ResourceType } from './objects.ts';

export function hasFinalizer(object: Pick<KubeObject, 'metadata'>, finalizer: string): boolean {
  return object.metadata.finalizers?.includes(finalizer) ?? false;
}

/** Whether the object is deleted and exists only until its finalizers are removed. */
export function isDeleting(object: Pick<KubeObject, 'metadata'>): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/**
 * Adds or removes a finalizer, if that changes anything. It changes only the version of the object that was read, so that no
 * finalizer of another controller is lost.
 * @returns whether it wrote the object @throws ApiError 409 where the object has changed: try again with the new version
 */
export async function setFinalizer(
  api: Api,
  type: ResourceType,
  object: KubeObject,
  finalizer: string,
  present: boolean,
  signal?: AbortSignal,
): Promise<boolean> {
  const { namespace, name, resourceVersion, finalizers = [] } = object.metadata;
  if (finalizers.includes(finalizer) === present) return false;
  const changed = present ? [...finalizers, finalizer] : finalizers.filter((other) => other !== finalizer);
  await api.patch(type, namespace, name, { metadata: { resourceVersion, finalizers: changed } }, { signal });
  return true;
}
