import type { Api } from './api.ts';
import { equal } from './compare.ts';
import type { ObjectMeta, Resource, ResourceType } from './objects.ts';

/**
 * Writes a status through its subresource, if it is another one than observed; fields of the status that `manager` had
 * written and that are gone now are removed.
 * @returns whether it was written
 * @throws ApiError 409 where the object has changed since it was observed: what was concluded from it may be wrong
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
