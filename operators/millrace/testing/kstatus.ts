import { conditionOf, isTrue } from '#runtime/conditions.ts';
import type { Condition } from '#runtime/conditions.ts';
import type { KubeObject } from '#runtime/objects.ts';

/**
 * What Flux, `helm --wait` and others that use kstatus take a resource for: they look at the generation, then at the
 * conditions Stalled and Ready. A resource without any of them is Current.
 */
export function kstatusOf(object: KubeObject): 'Terminating' | 'InProgress' | 'Failed' | 'Current' {
  const { observedGeneration, conditions } =
    (object as { status?: { observedGeneration?: number; conditions?: Condition[] } }).status ?? {};
  if (object.metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (observedGeneration !== undefined && observedGeneration !== object.metadata.generation) return 'InProgress';
  if (isTrue(conditions, 'Stalled')) return 'Failed';
  const ready = conditionOf(conditions, 'Ready');
  return ready && ready.status !== 'True' ? 'InProgress' : 'Current';
}
