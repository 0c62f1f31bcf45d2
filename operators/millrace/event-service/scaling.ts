import { parseDuration } from '#platform/declarations';
import type { EventServiceSpec } from '#platform/declaration-schema';

/** How many replicas a lag asked for, and when. */
export interface Recommendation {
  at: number;
  replicas: number;
}

/** The replicas for a lag: at least minReplicas; more than that only up to maxReplicas and the number of partitions. */
export function desiredReplicas(
  { minReplicas, maxReplicas = Infinity, lagPerReplica }: NonNullable<EventServiceSpec['scaling']>,
  lag: number,
  partitions: number,
): number {
  const most = Math.max(minReplicas, Math.min(maxReplicas, partitions));
  return Math.min(most, Math.max(minReplicas, Math.ceil(lag / lagPerReplica)));
}

/**
 * The next number of replicas. It scales up at once. It scales down only to the highest recommendation within the
 * stabilization window, so that a changing lag does not add and remove pods all the time.
 * @param current the replicas that the workload has
 * @param history the recommendations before
 * @returns the replicas, and the history for the next call
 */
export function scale(
  scaling: NonNullable<EventServiceSpec['scaling']>,
  { lag, partitions, current, now }: { lag: number; partitions: number; current: number; now: number },
  history: readonly Recommendation[] | undefined,
): { replicas: number; history: Recommendation[] } {
  const windowMs = parseDuration(scaling.stabilization);
  const wanted = desiredReplicas(scaling, lag, partitions);
  // after a start the operator has no history: the current replicas count as the recommendation
  const before = history ?? [{ at: now, replicas: current }];
  const window = [...before.filter(({ at }) => at > now - windowMs), { at: now, replicas: wanted }];
  const needed = Math.max(...window.map(({ replicas }) => replicas));
  const limit = Math.max(desiredReplicas(scaling, Infinity, partitions), 1);
  return { replicas: Math.min(limit, Math.max(wanted, Math.min(current, needed))), history: window };
}

/** The partitions of the largest topic that the groups read: more pods than that would have nothing to read. */
export function partitionsOf(
  spec: Pick<EventServiceSpec, 'consumes'>,
  partitions: ReadonlyMap<string, number>,
): number {
  const topics = (spec.consumes ?? []).flatMap((group) => group.topics);
  return Math.max(1, ...topics.map((topic) => partitions.get(topic) ?? 1));
}
