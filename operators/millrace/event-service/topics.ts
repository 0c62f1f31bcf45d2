import { topics } from '#platform/declarations';
import type { KubeObject } from '#runtime/objects.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaTopicOf } from '../kafka-topic.ts';
import { madeForLabel } from '../labels.ts';
import { strimziReadiness } from '../strimzi.ts';
import type { KafkaTopic } from '../strimzi.ts';

/** The KafkaTopics of a service: what it publishes to, and the dead letters of its groups. */
export function topicsOf(service: EventService): KafkaTopic[] {
  const { namespace = '', name } = service.metadata;
  const { kafka } = service.spec;
  if (!kafka) return [];
  const place = { namespace, cluster: kafka.cluster, replicas: kafka.replicas, madeFor: name };
  return topics([service]).map((topic) => kafkaTopicOf(topic, place));
}

/** Whose a topic is, where it is another service's. */
export function otherOwner(service: EventService, observed: KubeObject | undefined): string | undefined {
  const owner = observed?.metadata.labels?.[madeForLabel];
  return owner === undefined || owner === service.metadata.name ? undefined : owner;
}

/** @param observed the topics as they are; undefined where one is not there */
export function topicsCondition(service: EventService, observed: readonly (KafkaTopic | undefined)[]): Statement {
  const type = 'TopicsReady';
  const { kafka, produces = [], consumes = [] } = service.spec;
  if (produces.length + consumes.length === 0) return { type, status: 'True', reason: 'NoTopics', message: '' };
  if (!kafka) return { type, status: 'False', reason: 'NoKafka', message: 'spec.kafka.cluster names no Kafka' };
  const taken = observed.find((topic) => otherOwner(service, topic) !== undefined);
  if (taken) {
    const message = `the topic ${taken.spec.topicName ?? taken.metadata.name} is that of ${otherOwner(service, taken)}`;
    return { type, status: 'False', reason: 'TopicTaken', message };
  }
  const waiting = observed.map(strimziReadiness).filter(({ ready }) => !ready);
  if (waiting.length === 0) return { type, status: 'True', reason: 'Created', message: '' };
  return { type, status: 'False', reason: 'TopicsNotReady', message: waiting.map(({ message }) => message).join('; ') };
}
