import { parseDuration } from '#platform/declarations';
import type { EventServiceSpec } from '../api/event-service.ts';

/** How many pods were enough at a time. */
export interface Recommendation {
  at: number;
  replicas: number;
}

const defaultStabilization = '5m';

/** How many pods a lag asks for, between the least and the most that partitions can keep busy. */
export function replicasFor(
  { minReplicas, maxReplicas = Infinity, lagPerReplica }: NonNullable<EventServiceSpec['scaling']>,
  lag: number,
  partitions: number,
): number {
  const most = Math.max(minReplicas, Math.min(maxReplicas, partitions));
  return Math.min(most, Math.max(minReplicas, Math.ceil(lag / lagPerReplica)));
}

/**
 * How many pods there are to be. More come at once; fewer only when fewer were enough for as long as the stabilization
 * window, and then as many as were needed at most in it, so that a lag that comes and goes does not move them to and fro.
 * @param current how many there are
 * @param history what was recommended before
 * @returns the number, and the history for the next time
 */
export function scale(
  scaling: NonNullable<EventServiceSpec['scaling']>,
  { lag, partitions, current, now }: { lag: number; partitions: number; current: number; now: number },
  history: readonly Recommendation[] | undefined,
): { replicas: number; history: Recommendation[] } {
  const windowMs = parseDuration(scaling.stabilization ?? defaultStabilization);
  const wanted = replicasFor(scaling, lag, partitions);
  // nobody remembers what was needed before: as many as there are
  const before = history ?? [{ at: now, replicas: current }];
  const kept = [...before.filter(({ at }) => at > now - windowMs), { at: now, replicas: wanted }];
  const needed = Math.max(...kept.map(({ replicas }) => replicas));
  const limit = Math.max(replicasFor(scaling, Infinity, partitions), 1);
  return { replicas: Math.min(limit, Math.max(wanted, Math.min(current, needed))), history: kept };
}

/** The most partitions that a topic of its groups has: more pods than that would have nothing to read. */
export function partitionsOf(
  spec: Pick<EventServiceSpec, 'consumes'>,
  partitions: ReadonlyMap<string, number>,
): number {
  const topics = (spec.consumes ?? []).flatMap((group) => group.topics);
  return Math.max(1, ...topics.map((topic) => partitions.get(topic) ?? 1));
}
