import { isTrue } from '#runtime/conditions.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { ObjectMeta, ResourceType } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import type { ControllerContext } from './controller-context.ts';
import type { StatusWithConditions } from './report.ts';

/** What a resource that ends like a Job says: its end, and Ready for those who wait for that. */
export function ended(outcome: 'Complete' | 'Failed', reason: string, message: string): Statement[] {
  return [
    { type: outcome, status: 'True', reason, message },
    { type: 'Ready', status: outcome === 'Complete' ? 'True' : 'False', reason, message },
  ];
}

/** What it says until then. */
export function underWay(reason: string, message: string): Statement[] {
  return [{ type: 'Ready', status: 'False', reason, message }];
}

export function isFinished(status: StatusWithConditions | undefined): boolean {
  return isTrue(status?.conditions, 'Complete') || isTrue(status?.conditions, 'Failed');
}

/** Removes a resource that has ended once it has been kept long enough. @returns when that is, unless never or now */
export async function expire(
  { api, clock }: Pick<ControllerContext, 'api' | 'clock'>,
  type: ResourceType,
  { metadata, spec, status }: Ending,
  signal: AbortSignal,
): Promise<Result | void> {
  const keep = keepForMs(spec.ttlSecondsAfterFinished, status?.completionTime, clock.now());
  if (keep === 0) await api.delete(type, metadata.namespace, metadata.name, { signal, uid: metadata.uid });
  else if (keep !== undefined) return { requeueAfterMs: keep };
}

/** A resource that ends like a Job. */
interface Ending {
  metadata: ObjectMeta;
  spec: { ttlSecondsAfterFinished?: number | undefined };
  status?: { completionTime?: string | undefined } | undefined;
}

/** How long a resource that has ended is still to be kept, in milliseconds; undefined: for ever. */
export function keepForMs(
  ttlSeconds: number | undefined,
  completionTime: string | undefined,
  now: number,
): number | undefined {
  if (ttlSeconds === undefined || completionTime === undefined) return undefined;
  return Math.max(0, Date.parse(completionTime) + ttlSeconds * 1000 - now);
}
