import { setFinalizer } from '#runtime/finalizers.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import type { ControllerContext } from './controller-context.ts';

/** A finished resource with the field `ttlSecondsAfterFinished` of Jobs. */
interface Finished {
  spec: { ttlSecondsAfterFinished?: number | undefined };
  status?: { completionTime?: string | undefined } | undefined;
}

/**
 * Takes its finalizer off a finished resource, and deletes it when its TTL has passed; until then it returns when to come back. There is
 * nothing to cancel any more: the resource need not wait for the operator, which may go with its namespace.
 */
export async function letFinishedGo(
  { api, clock }: Pick<ControllerContext, 'api' | 'clock'>,
  type: ResourceType,
  finished: Finished & KubeObject,
  finalizer: string,
  signal: AbortSignal,
): Promise<Result | void> {
  const { metadata, spec, status } = finished;
  // the watch brings the changed resource back
  if (await setFinalizer(api, type, finished, finalizer, false, signal)) return;
  const ttlMs = remainingTtlMs(spec.ttlSecondsAfterFinished, status?.completionTime, clock.now());
  if (ttlMs === 0) await api.delete(type, metadata.namespace, metadata.name, { signal, uid: metadata.uid });
  else if (ttlMs !== undefined) return { requeueAfterMs: ttlMs };
}

/** The milliseconds until a finished resource is to be deleted; undefined: never. */
export function remainingTtlMs(
  ttlSeconds: number | undefined,
  completionTime: string | undefined,
  now: number,
): number | undefined {
  if (ttlSeconds === undefined || completionTime === undefined) return undefined;
  return Math.max(0, Date.parse(completionTime) + ttlSeconds * 1000 - now);
}
