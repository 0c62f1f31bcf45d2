import { broadcastPrefix, deadLetterTopic, versionPrefix } from '#platform/declarations';
import type { Statement } from '#runtime/conditions.ts';
import { ownerReference } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { managedBy } from '../labels.ts';
import { strimziReadiness } from '../strimzi.ts';
import type { KafkaUser } from '../strimzi.ts';

export interface Acl {
  resource: { type: 'topic' | 'group'; name: string; patternType: 'literal' | 'prefix' };
  operations: string[];
}

const topic = (name: string, ...operations: string[]): Acl => ({
  resource: { type: 'topic', name, patternType: 'literal' },
  operations,
});
const group = (name: string, patternType: 'literal' | 'prefix' = 'literal'): Acl => ({
  resource: { type: 'group', name, patternType },
  operations: ['Read'],
});

/**
 * What a service may do in Kafka, and nothing else: write what it publishes and its dead letters, read what it consumes, by
 * its groups and those that build another version of what they project (`<group>.v2`).
 * @param emitted topics that its stream queries emit to besides
 */
export function aclsOf({ spec }: Pick<EventService, 'spec'>, emitted: readonly string[] = []): Acl[] {
  const { produces = [], consumes = [] } = spec;
  const written = [...produces.map((produced) => produced.topic), ...emitted];
  written.push(...consumes.map((consumed) => deadLetterTopic(consumed.group)));
  const read = consumes.flatMap((consumed) => consumed.topics);
  return [
    ...unique(written).map((name) => topic(name, 'Write', 'Describe')),
    ...unique(read).map((name) => topic(name, 'Read', 'Describe')),
    ...consumes.flatMap((consumed) => [group(consumed.group), group(versionPrefix(consumed.group), 'prefix')]),
    ...(consumes.length > 0 ? [group(broadcastPrefix, 'prefix')] : []),
  ];
}

const unique = (names: readonly string[]) => [...new Set(names)].toSorted();

/** Whether a service talks to Kafka. */
export function usesKafka({ spec }: Pick<EventService, 'spec'>): boolean {
  return (spec.produces ?? []).length + (spec.consumes ?? []).length > 0;
}

/** The KafkaUser of a service, whose Secret of the same name has its password; deleted with the service. */
export function kafkaUserOf(service: EventService, emitted: readonly string[]): KafkaUser {
  const { namespace = '', name } = service.metadata;
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaUser',
    metadata: {
      namespace,
      name,
      labels: { ...managedBy, 'strimzi.io/cluster': service.spec.kafka!.cluster },
      ownerReferences: [ownerReference(service)],
    },
    spec: {
      authentication: { type: 'scram-sha-512' },
      authorization: { type: 'simple', acls: aclsOf(service, emitted) },
    },
  };
}

export function userCondition(service: EventService, observed: KafkaUser | undefined): Statement {
  const type = 'UserReady';
  if (!usesKafka(service)) return { type, status: 'True', reason: 'NoKafka', message: '' };
  if (!service.spec.kafka)
    return { type, status: 'False', reason: 'NoKafka', message: 'spec.kafka.cluster names no Kafka' };
  const { ready, message } = strimziReadiness(observed);
  return ready
    ? { type, status: 'True', reason: 'Created', message: '' }
    : { type, status: 'False', reason: 'UserNotReady', message };
}
