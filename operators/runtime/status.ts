import type { Api } from './api.ts';
import { equal } from './compare.ts';
import type { ObjectMeta, Resource, ResourceType } from './objects.ts';

/**
 * Applies a status through its subresource, if it differs from the observed one. The server removes the fields that `manager`
 * wrote before and that the status no longer has.
 * @returns whether it wrote the status
 * @throws ApiError 409 where the object has changed since it was observed: the status may be wrong for the new version
 */
export async function writeStatus<Status extends object>(
  api: Api,
  type: ResourceType,
  object: Resource<unknown, Status>,
  status: Status,
  options: { manager: string; signal?: AbortSignal | undefined },
): Promise<boolean> {
  if (equal(object.status ?? {}, status)) return false;
  const { apiVersion, kind, metadata } = object;
  const { name, namespace, uid, resourceVersion } = metadata;
  const body = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } as ObjectMeta, status };
  await api.apply(type, body, options.manager, { signal: options.signal, subresource: 'status' });
  return true;
}
