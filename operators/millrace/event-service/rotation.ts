import { randomBytes } from 'node:crypto';
import type { Api } from '#runtime/api.ts';
import type { Clock } from '#runtime/clock.ts';
import { secrets } from '../api/kinds.ts';
import { dataOf, valuesOf } from '../database-pools.ts';
import type { Secret } from '../database-pools.ts';

/** Somebody asks for a new password by any new value of this annotation of a Secret. */
const requestAnnotation = 'millrace.dev/rotate';
/** the value whose password is in use */
const doneAnnotation = 'millrace.dev/rotated';
/** since when the Secret has the next password */
const publishedAnnotation = 'millrace.dev/next-password-since';

/** The time in which every kubelet has brought a changed Secret into its pods, in milliseconds: it does so within a minute or two. */
export const publishMs = 3 * 60_000;

interface Rotation {
  api: Api;
  clock: Clock;
  /** how long the next password is in the Secret before it is used, in milliseconds */
  afterMs: number;
  /** Sets the password in PostgreSQL; it may be called with the same one again. */
  set: (password: string) => Promise<void>;
}

/**
 * Goes one step towards the new password that an annotation of a Secret asks for. The Secret has it as `nextPassword` before PostgreSQL
 * takes it: whoever connects then knows both, and no connection is refused. Each step is written with the version that was read, so that
 * of two who do it one fails with a conflict.
 */
export async function rotate(
  secret: Secret,
  { api, clock, afterMs, set }: Rotation,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name, resourceVersion, annotations = {} } = secret.metadata;
  const request = annotations[requestAnnotation];
  if (request === undefined || request === annotations[doneAnnotation]) return;
  const { nextPassword: next, url } = valuesOf(secret);
  const write = async (changed: Record<string, string>, data: object) => {
    const patch = { metadata: { resourceVersion, annotations: changed }, data };
    await api.patch(secrets, namespace, name, patch, { signal });
  };
  if (!next) {
    const since = new Date(clock.now()).toISOString();
    await write({ [publishedAnnotation]: since }, dataOf({ nextPassword: randomBytes(24).toString('base64url') }));
    return;
  }
  if (clock.now() - Date.parse(annotations[publishedAnnotation] ?? '1970-01-01') < afterMs) return;
  await set(next);
  const values = { password: next, ...(url ? { url: Object.assign(new URL(url), { password: next }).href } : {}) };
  await write({ [doneAnnotation]: request }, { ...dataOf(values), nextPassword: null });
}
