import type { Api } from './api.ts';
import { equal } from './compare.ts';
import type { Resource, ResourceType } from './objects.ts';

/**
 * Writes a status through its subresource, if it is another one than observed; fields of the status that `manager` had
 * written and that are gone now are removed. @returns whether it was written
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
  const { name, namespace, uid } = metadata;
  const identity = { name, ...(namespace === undefined ? {} : { namespace }), ...(uid === undefined ? {} : { uid }) };
  const body = { apiVersion, kind, metadata: identity, status };
  await api.apply(type, body, options.manager, { signal: options.signal, subresource: 'status' });
  return true;
}
