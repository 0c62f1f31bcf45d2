import type { Informer } from '#runtime/informer.ts';
import type { KubeObject } from '#runtime/objects.ts';

/** What Strimzi makes a topic of Kafka from. */
export interface KafkaTopic extends KubeObject {
  spec: { topicName?: string; partitions: number; replicas?: number; config: Record<string, unknown> };
  status?: StrimziStatus;
}

/** What Strimzi makes a user of Kafka from, with its ACLs and a Secret. */
export interface KafkaUser extends KubeObject {
  spec: object;
  status?: StrimziStatus;
}

interface StrimziStatus {
  observedGeneration?: number;
  conditions?: StrimziCondition[];
}

interface StrimziCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}

/** How far Strimzi is with an object. */
export interface StrimziReadiness {
  ready: boolean;
  /** what Strimzi calls a failure; undefined where there is none */
  failure?: string | undefined;
  /** why it is not ready, with the name of the object */
  message: string;
}

/** Whether Strimzi has done what the current spec of the object says, and else why not. */
export function strimziReadiness(object: (KubeObject & { status?: StrimziStatus }) | undefined): StrimziReadiness {
  const { generation, name } = object?.metadata ?? {};
  const { observedGeneration, conditions = [] } = object?.status ?? {};
  const waiting = { ready: false, message: `${name ?? 'it'} waits for Strimzi` };
  if (!object || observedGeneration !== generation) return waiting;
  const failed = conditions.find(isFailure);
  if (failed) {
    const { reason = 'NotReady', message = reason } = failed;
    return { ready: false, failure: reason, message: `${name}: ${message}` };
  }
  const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady ? { ready: true, message: '' } : waiting;
}

/** What there is to say of objects whose kind the cluster does not have. @returns undefined where it has it */
export function strimziMissing({ isAbsent, type }: Pick<Informer<KubeObject>, 'isAbsent' | 'type'>) {
  if (!isAbsent) return undefined;
  const message = `the cluster has no ${type.kind} of ${type.group}/${type.version}: install Strimzi`;
  return { ready: false, failure: 'StrimziMissing', message } satisfies StrimziReadiness;
}

/** The topic operator of Strimzi says of a failure that Ready is False, its other operators that NotReady is True. */
function isFailure({ type, status }: StrimziCondition): boolean {
  return (type === 'Ready' && status === 'False') || (type === 'NotReady' && status === 'True');
}
