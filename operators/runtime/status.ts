import type { Api } from './api.ts';
import { equal } from './compare.ts';
import { ApiError } from './errors.ts';
import type { ObjectMeta, Resource, ResourceType } from './objects.ts';

/** What has become of a status. */
interface WrittenStatus {
  isWritten: boolean;
  /** fields that the CRD in the cluster does not declare, as it is older: they are not written */
  undeclared: string[];
}

/**
 * Applies a status through its subresource, if it differs from the observed one. The server removes the fields that `manager`
 * wrote before and that the status no longer has. Of a field that the CRD does not declare, it refuses the whole status: then it is applied
 * without that.
 * @throws ApiError 409 where the object has changed since it was observed: the status may be wrong for the new version
 */
export async function writeStatus<Status extends object>(
  api: Api,
  type: ResourceType,
  object: Resource<unknown, Status>,
  status: Status,
  options: { manager: string; signal?: AbortSignal | undefined },
): Promise<WrittenStatus> {
  if (equal(object.status ?? {}, status)) return { isWritten: false, undeclared: [] };
  const { apiVersion, kind, metadata } = object;
  const { name, namespace, uid, resourceVersion } = metadata;
  const body = { apiVersion, kind, metadata: { name, namespace, uid, resourceVersion } as ObjectMeta, status };
  try {
    await api.apply(type, body, options.manager, { signal: options.signal, subresource: 'status' });
    return { isWritten: true, undeclared: [] };
  } catch (error) {
    const undeclared = undeclaredIn(error).filter((field) => field in status);
    if (undeclared.length === 0) throw error;
    const { isWritten, undeclared: more } = await writeStatus(api, type, object, without(status, undeclared), options);
    return { isWritten, undeclared: [...undeclared, ...more] };
  }
}

/** A status without some fields. */
export function without<Status extends object>(status: Status, fields: Iterable<string>): Status {
  const left = new Set(fields);
  return Object.fromEntries(Object.entries(status).filter(([field]) => !left.has(field))) as Status;
}

/** The fields of a status that an API server refuses. It says so in the message alone: with 500, as it takes it for its own failure. */
function undeclaredIn(error: unknown): string[] {
  if (!(error instanceof ApiError)) return [];
  const fields = error.message.matchAll(/\.status\.(\w+)(?:[.[].*?)?: field not declared in schema/g);
  return [...new Set([...fields].map(([, field = '']) => field))];
}
