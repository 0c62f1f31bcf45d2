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
  conditions?: { type: string; status: string; reason?: string; message?: string }[];
}

/** Whether Strimzi has done what the current spec of the object says, and else why not. */
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
