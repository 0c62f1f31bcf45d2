import { timestamp } from './clock.ts';

/** A condition as `metav1.Condition` has it. */
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

/** What a controller says; the rest follows from what was said before. */
export type ConditionUpdate = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

const maxMessage = 32_768;

/**
 * The conditions after some statements: the time of a transition moves only with the status, conditions of other types
 * stay as they are.
 */
export function setConditions(
  before: readonly Condition[] | undefined,
  statements: readonly ConditionUpdate[],
  generation: number | undefined,
  now: number,
): Condition[] {
  const said = new Map(statements.map((statement) => [statement.type, statement]));
  const kept = (before ?? []).filter(({ type }) => !said.has(type));
  const set = statements.map((statement): Condition => {
    const old = before?.find(({ type }) => type === statement.type);
    return {
      ...statement,
      message: statement.message.slice(0, maxMessage),
      lastTransitionTime: old?.status === statement.status ? old.lastTransitionTime : timestamp(now),
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

/** Those whose status or reason is another one than before: what is worth an event. */
export function transitions(before: readonly Condition[] | undefined, after: readonly Condition[]): Condition[] {
  return after.filter((condition) => {
    const old = conditionOf(before, condition.type);
    return old?.status !== condition.status || old.reason !== condition.reason;
  });
}
