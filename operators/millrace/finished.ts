import { isTrue } from '#runtime/conditions.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { StatusWithConditions } from './world.ts';

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

/** How long a resource that has ended is still to be kept, in milliseconds; undefined: for ever. */
export function keepForMs(
  ttlSeconds: number | undefined,
  completionTime: string | undefined,
  now: number,
): number | undefined {
  if (ttlSeconds === undefined || completionTime === undefined) return undefined;
  return Math.max(0, Date.parse(completionTime) + ttlSeconds * 1000 - now);
}
