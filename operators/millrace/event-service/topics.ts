import { topics } from '#platform/declarations';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaTopics } from '../api/kinds.ts';
import { isOfOtherTopic, kafkaTopicOf, topicNameOf } from '../kafka-topic.ts';
import { handOverCommand, isManaged, madeForLabel } from '../labels.ts';
import { strimziReadiness } from '../strimzi.ts';
import type { KafkaTopic } from '../strimzi.ts';

/** The KafkaTopics of a service: what it publishes to, and the dead letters of its groups. */
export function topicsOf(service: EventService): KafkaTopic[] {
  const { namespace = '', name } = service.metadata;
  const { cluster, replicas } = service.spec.kafka ?? {};
  if (cluster === undefined) return [];
  const options = { namespace, cluster, replicas, madeFor: { [madeForLabel]: name } };
  return topics([service]).map((topic) => kafkaTopicOf(topic, options));
}

/** The other service that a topic was created for, if it was created for another one. */
export function otherOwner(service: EventService, topic: KafkaTopic): string | undefined {
  const owner = topic.metadata.labels?.[madeForLabel];
  return owner === undefined || owner === service.metadata.name ? undefined : owner;
}

/** A topic that a service declares, and the KafkaTopic of its name as it is in the cluster. */
export interface ObservedTopic {
  desired: KafkaTopic;
  found: KafkaTopic;
}

/** Why a topic is another's, or nobody's that is known, as a sentence. @returns undefined where the service may change it */
function takenReason(service: EventService, { desired, found: topic }: ObservedTopic): string | undefined {
  if (isOfOtherTopic(topic, desired))
    return `the KafkaTopic ${topic.metadata.name} is that of the topic ${topicNameOf(topic)}, not of ${topicNameOf(desired)}: declare another topic, or delete the KafkaTopic where nobody needs that one`;
  if (!isManaged(topic)) {
    const command = handOverCommand(kafkaTopics, topic, { [madeForLabel]: service.metadata.name });
    return `the KafkaTopic ${topic.metadata.name} exists, and Millrace has not made it: declare another topic, or hand it over with: ${command}`;
  }
  const other = otherOwner(service, topic);
  return other && `the topic ${topicNameOf(topic)} belongs to ${other}`;
}

export function topicsCondition(service: EventService, observed: readonly ObservedTopic[]): ConditionUpdate {
  const type = 'TopicsReady';
  const taken = observed.flatMap((topic) => takenReason(service, topic) ?? []);
  if (taken.length > 0) return { type, status: 'False', reason: 'TopicTaken', message: taken.join('; ') };
  const waiting = observed.map(({ found }) => strimziReadiness(found)).filter(({ ready }) => !ready);
  if (waiting.length === 0) return { type, status: 'True', reason: 'Created', message: '' };
  // what has failed needs somebody, what waits does not
  const failed = waiting.filter(({ failure }) => failure !== undefined);
  const reason = failed[0]?.failure ?? 'TopicsNotReady';
  const message = (failed.length > 0 ? failed : waiting).map((one) => one.message).join('; ');
  return { type, status: 'False', reason, message };
}
