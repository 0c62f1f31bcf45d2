import { timestamp } from './clock.ts';

/** `metav1.Condition` */
export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  /** CamelCase, for programs */
  reason: string;
  /** for people */
  message: string;
  lastTransitionTime: string;
  /** the generation of the spec that it is about */
  observedGeneration?: number;
}

/** The part of a condition that a controller decides; the rest follows from the condition before. */
export type ConditionUpdate = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

const maxMessage = 32_768;

/**
 * The conditions after some updates. The time of the last transition changes only with the status of a condition; conditions
 * of other types stay as they are.
 */
export function setConditions(
  before: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  generation: number | undefined,
  now: number,
): Condition[] {
  const updated = new Set(updates.map(({ type }) => type));
  const kept = (before ?? []).filter(({ type }) => !updated.has(type));
  const set = updates.map((update): Condition => {
    const old = before?.find(({ type }) => type === update.type);
    return {
      ...update,
      message: update.message.slice(0, maxMessage),
      lastTransitionTime: old?.status === update.status ? old.lastTransitionTime : timestamp(now),
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
  });
  return [...kept, ...set].toSorted((a, b) => (a.type < b.type ? -1 : 1));
}

export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditionOf(conditions, type)?.status === 'True';
}

/** The conditions whose status or reason has changed: each is worth an Event. */
export function transitions(before: readonly Condition[] | undefined, after: readonly Condition[]): Condition[] {
  return after.filter((condition) => {
    const old = conditionOf(before, condition.type);
    return old?.status !== condition.status || old.reason !== condition.reason;
  });
}
