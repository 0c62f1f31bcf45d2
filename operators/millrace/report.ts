import { setConditions, transitions } from '#runtime/conditions.ts';
import type { Condition, ConditionUpdate } from '#runtime/conditions.ts';
import { isNotFound } from '#runtime/errors.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import { writeStatus } from '#runtime/status.ts';
import type { ControllerContext } from './controller-context.ts';
import { manager } from './labels.ts';

/** The common fields of every kind's status. */
export interface StatusWithConditions {
  observedGeneration?: number | undefined;
  conditions?: Condition[] | undefined;
}

/** The result of a reconcile: the conditions, and the other fields of the status. */
export interface StatusUpdate<Status extends StatusWithConditions> {
  conditions: readonly ConditionUpdate[];
  fields: Omit<Status, keyof StatusWithConditions>;
}

/** Reasons of a Ready that is False because something takes its time: the event of such a reason is no warning. */
const inProgressReasons = new Set([
  'Building',
  'Migrating',
  'Pending',
  'Queued',
  'Replaying',
  'Requested',
  'Starting',
  'TopicNotReady',
  'TopicsNotReady',
  'UserNotReady',
]);

/**
 * Writes the status of a resource if it has changed, and records an Event if the status or the reason of its condition
 * Ready has changed. Ready sums the other conditions up.
 */
export async function reportStatus<Status extends StatusWithConditions>(
  { api, events, clock }: Pick<ControllerContext, 'api' | 'events' | 'clock'>,
  type: ResourceType,
  object: Resource<unknown, Status>,
  update: StatusUpdate<Status>,
  signal: AbortSignal,
): Promise<void> {
  const { generation } = object.metadata;
  const before = object.status?.conditions;
  const conditions = setConditions(before, update.conditions, generation, clock.now());
  const status = { ...update.fields, observedGeneration: generation, conditions } as unknown as Status & object;
  const resource = object as Resource<unknown, Status & object>;
  try {
    if (!(await writeStatus(api, type, resource, status, { manager, signal }))) return;
  } catch (error) {
    if (isNotFound(error)) return; // somebody has deleted the resource meanwhile
    throw error;
  }
  const ready = transitions(before, conditions).find((condition) => condition.type === 'Ready');
  if (!ready) return;
  const { status: isReady, reason, message } = ready;
  const isNormal = isReady === 'True' || inProgressReasons.has(reason);
  const note = message || (isReady === 'True' ? 'is ready' : reason);
  events.record(object, { type: isNormal ? 'Normal' : 'Warning', reason, action: 'Reconcile', note });
}

/** The fields of a status that are not conditions, as they were written last. */
export function fieldsOf<Status extends StatusWithConditions>(
  status: Status | undefined,
): Partial<StatusUpdate<Status>['fields']> {
  const { conditions: _c, observedGeneration: _o, ...fields } = status ?? ({} as Status);
  return fields;
}
