import type { ResourceType } from '#runtime/objects.ts';
import type { FakeApiServer } from '#runtime/testing/fake-api-server.ts';
import { kafkaTopics } from '../api/kinds.ts';

/** What the operators of Strimzi say of an object, in the two shapes of a failure that they have. */
export const strimziSays = {
  ready: { type: 'Ready', status: 'True' },
  /** as the topic operator says it */
  readyFalse: (reason: string, message: string) => ({ type: 'Ready', status: 'False', reason, message }),
  /** as the user operator and the cluster operator say it */
  notReadyTrue: (reason: string, message: string) => ({ type: 'NotReady', status: 'True', reason, message }),
};

/** A stand-in for Strimzi: it puts its finalizer on a topic, and says of an object's present generation what a test tells it to. */
export function strimziAnswers(
  server: FakeApiServer,
  type: ResourceType,
  { namespace, name }: { namespace: string; name: string },
  condition: object,
): void {
  if (type === kafkaTopics) {
    server.patch(type, namespace, name, { metadata: { finalizers: ['strimzi.io/topic-operator'] } });
  }
  const observedGeneration = server.find(type, namespace, name)!.metadata.generation;
  const said = { ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' };
  server.patch(type, namespace, name, { status: { conditions: [said], observedGeneration } }, 'status');
}
