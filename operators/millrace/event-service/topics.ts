import { topics } from '#platform/declarations';
import type { KubeObject } from '#runtime/objects.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaTopicOf } from '../kafka-topic.ts';
import { madeForLabel } from '../labels.ts';
import { strimziReadiness } from '../strimzi.ts';
import type { KafkaTopic } from '../strimzi.ts';

/** The KafkaTopics of a service: what it publishes to, and the dead letters of its groups. */
export function topicsOf(service: EventService): KafkaTopic[] {
  const { namespace = '', name } = service.metadata;
  const { cluster, replicas } = service.spec.kafka ?? {};
  if (cluster === undefined) return [];
  const options = { namespace, cluster, replicas, madeFor: name };
  return topics([service]).map((topic) => kafkaTopicOf(topic, options));
}

/** The other resource that a topic was created for, if it was created for another one. */
export function otherOwner(service: EventService, observed: KubeObject | undefined): string | undefined {
  const owner = observed?.metadata.labels?.[madeForLabel];
  return owner === undefined || owner === service.metadata.name ? undefined : owner;
}

/** @param observed the topics in the cluster; undefined for each that does not exist */
export function topicsCondition(service: EventService, observed: readonly (KafkaTopic | undefined)[]): ConditionUpdate {
  const type = 'TopicsReady';
  const taken = observed.find((topic) => otherOwner(service, topic) !== undefined);
  if (taken) {
    const message = `the topic ${taken.spec.topicName ?? taken.metadata.name} belongs to ${otherOwner(service, taken)}`;
    return { type, status: 'False', reason: 'TopicTaken', message };
  }
  const waiting = observed.map(strimziReadiness).filter(({ ready }) => !ready);
  if (waiting.length === 0) return { type, status: 'True', reason: 'Created', message: '' };
  // what has failed needs somebody, what waits does not
  const failed = waiting.filter(({ failure }) => failure !== undefined);
  const reason = failed[0]?.failure ?? 'TopicsNotReady';
  const message = (failed.length > 0 ? failed : waiting).map((one) => one.message).join('; ');
  return { type, status: 'False', reason, message };
}
