import { setConditions, transitions } from '#runtime/conditions.ts';
import type { Condition, Statement } from '#runtime/conditions.ts';
import { isNotFound } from '#runtime/errors.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import { writeStatus } from '#runtime/status.ts';
import type { ControllerContext } from './controller-context.ts';
import { manager } from './labels.ts';

/** A status as all kinds have it. */
export interface StatusWithConditions {
  observedGeneration?: number | undefined;
  conditions?: Condition[] | undefined;
}

/** Reasons of what is not ready because it is under way: nothing to warn of. */
const underWayReasons = new Set([
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
 * Writes the status of a resource if it has changed, with its conditions, and records an event where the status or the
 * reason of Ready has, which sums the others up.
 */
export async function report<Status extends StatusWithConditions>(
  { api, events, clock }: Pick<ControllerContext, 'api' | 'events' | 'clock'>,
  type: ResourceType,
  object: Resource<unknown, Status>,
  said: readonly Statement[],
  figures: Omit<Status, keyof StatusWithConditions>,
  signal: AbortSignal,
): Promise<void> {
  const { generation } = object.metadata;
  const before = object.status?.conditions;
  const conditions = setConditions(before, said, generation, clock.now());
  const status = { ...figures, observedGeneration: generation, conditions } as unknown as Status & object;
  const resource = object as Resource<unknown, Status & object>;
  try {
    if (!(await writeStatus(api, type, resource, status, { manager, signal }))) return;
  } catch (error) {
    if (isNotFound(error)) return; // it has been deleted meanwhile
    throw error;
  }
  const ready = transitions(before, conditions).find((condition) => condition.type === 'Ready');
  if (!ready) return;
  const { status: now, reason, message } = ready;
  const isFine = now === 'True' || underWayReasons.has(reason);
  const note = message || (now === 'True' ? 'is ready' : reason);
  events.record(object, { type: isFine ? 'Normal' : 'Warning', reason, action: 'Reconcile', note });
}
