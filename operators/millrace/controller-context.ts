import type { Api } from '#runtime/api.ts';
import type { Applier } from '#runtime/apply.ts';
import type { Clock } from '#runtime/clock.ts';
import { setConditions, transitions } from '#runtime/conditions.ts';
import type { Condition, Statement } from '#runtime/conditions.ts';
import { isNotFound } from '#runtime/errors.ts';
import type { EventRecorder } from '#runtime/events.ts';
import type { Informer } from '#runtime/informer.ts';
import type { Log } from '#runtime/log.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
import { writeStatus } from '#runtime/status.ts';
import type { DeadLetterReplay } from './api/dead-letter-replay.ts';
import type { EventService } from './api/event-service.ts';
import type { ProjectionRebuild } from './api/projection-rebuild.ts';
import type { StreamQuery } from './api/stream-query.ts';

/** The one field manager of what this operator applies. */
export const manager = 'millrace-operator';
/** On everything that the operator makes, so that it watches no more than that. */
export const managedBy = { 'app.kubernetes.io/managed-by': manager };
export const managedSelector = `app.kubernetes.io/managed-by=${manager}`;
/** Names the EventService or StreamQuery that something was made for, and that may change it. */
export const madeForLabel = 'millrace.dev/made-for';

export interface KafkaTopic extends KubeObject {
  spec: { topicName?: string; partitions: number; replicas?: number; config: Record<string, unknown> };
  status?: StrimziStatus;
}

export interface KafkaUser extends KubeObject {
  spec: object;
  status?: StrimziStatus & { secret?: string };
}

export interface Job extends KubeObject {
  status?: { succeeded?: number; failed?: number; conditions?: { type: string; status: string; message?: string }[] };
}

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

/** How Strimzi says how something is. */
export interface StrimziStatus {
  observedGeneration?: number;
  conditions?: { type: string; status: string; reason?: string; message?: string }[];
}

/** What every controller works with: the API, and a cache of each kind that it watches. */
export interface ControllerContext {
  api: Api;
  applier: Applier;
  events: EventRecorder;
  clock: Clock;
  log: Log;
  eventServices: Informer<EventService>;
  streamQueries: Informer<StreamQuery>;
  deadLetterReplays: Informer<DeadLetterReplay>;
  projectionRebuilds: Informer<ProjectionRebuild>;
  kafkaTopics: Informer<KafkaTopic>;
  kafkaUsers: Informer<KafkaUser>;
  jobs: Informer<Job>;
  configMaps: Informer<ConfigMap>;
}

/** Index of resources by their namespace. */
export const byNamespace = 'namespace';
export const namespaceIndexer = {
  [byNamespace]: ({ metadata }: Pick<KubeObject, 'metadata'>) => [metadata.namespace ?? ''],
};

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

/** Whether Strimzi has done what the resource says now, and else why not. */
export function strimziReadiness(object: (KubeObject & { status?: StrimziStatus }) | undefined): {
  ready: boolean;
  message: string;
} {
  const { generation, name } = object?.metadata ?? {};
  const { observedGeneration, conditions = [] } = object?.status ?? {};
  if (!object || observedGeneration !== generation)
    return { ready: false, message: `${name ?? 'it'} waits for Strimzi` };
  const failed = conditions.find((condition) => condition.type === 'NotReady' && condition.status === 'True');
  if (failed) return { ready: false, message: `${name}: ${failed.message ?? failed.reason ?? 'not ready'}` };
  const ready = conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
  return { ready, message: ready ? '' : `${name} waits for Strimzi` };
}
