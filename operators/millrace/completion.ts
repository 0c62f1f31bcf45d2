import { isTrue } from '#runtime/conditions.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { StatusWithConditions } from './report.ts';

// Replays and rebuilds finish as Jobs do: with a condition Complete or Failed.

/** The conditions of a resource that has finished; Ready is for `kubectl wait` and the columns of `kubectl get`. */
export function finishedConditions(type: 'Complete' | 'Failed', reason: string, message: string): ConditionUpdate[] {
  return [
    { type, status: 'True', reason, message },
    { type: 'Ready', status: type === 'Complete' ? 'True' : 'False', reason, message },
  ];
}

/** The conditions of a resource that has not finished yet. */
export function unfinishedConditions(reason: string, message: string): ConditionUpdate[] {
  return [{ type: 'Ready', status: 'False', reason, message }];
}

export function isFinished(status: StatusWithConditions | undefined): boolean {
  return isTrue(status?.conditions, 'Complete') || isTrue(status?.conditions, 'Failed');
}
