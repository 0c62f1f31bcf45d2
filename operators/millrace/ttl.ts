import type { ObjectMeta, ResourceType } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import type { ControllerContext } from './controller-context.ts';

/** A finished resource with the field `ttlSecondsAfterFinished` of Jobs. */
interface Finished {
  metadata: ObjectMeta;
  spec: { ttlSecondsAfterFinished?: number | undefined };
  status?: { completionTime?: string | undefined } | undefined;
}

/** Deletes a finished resource when its TTL has passed; until then it returns when to come back. */
export async function deleteAfterTtl(
  { api, clock }: Pick<ControllerContext, 'api' | 'clock'>,
  type: ResourceType,
  { metadata, spec, status }: Finished,
  signal: AbortSignal,
): Promise<Result | void> {
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
