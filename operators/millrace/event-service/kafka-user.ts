import { broadcastPrefix, deadLetterTopic, versionPrefix } from '#platform/declarations';
import type { Acl } from '#platform/kafka';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import { ownerReference } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { kafkaUsers } from '../api/kinds.ts';
import { handOverCommand, isManaged, managedBy } from '../labels.ts';
import { strimziReadiness } from '../strimzi.ts';
import type { KafkaUser } from '../strimzi.ts';

/** Operations of a service on a topic, a group, or all whose names begin so. */
export interface Rights {
  resource: Acl['resource'];
  operations: Acl['operation'][];
}

const topic = (name: string, ...operations: Acl['operation'][]): Rights => ({
  resource: { type: 'topic', name, patternType: 'literal' },
  operations,
});
const group = (name: string, patternType: 'literal' | 'prefix' = 'literal'): Rights => ({
  resource: { type: 'group', name, patternType },
  operations: ['Read'],
});

/**
 * The ACLs of a service, and no more than it needs: it writes the topics that it produces and its dead letters, and reads the
 * topics that it consumes, with its groups and with those that build another version of a projection (`<group>.v2`). It also reads
 * what it produces, to compare it with its database.
 * @param emitted the topics that its stream queries emit to
 */
export function aclsOf({ spec }: Pick<EventService, 'spec'>, emitted: readonly string[] = []): Rights[] {
  const { produces = [], consumes = [] } = spec;
  const writes = [...produces.map((produced) => produced.topic), ...emitted];
  writes.push(...consumes.map((consumed) => deadLetterTopic(consumed.group)));
  const reads = [...consumes.flatMap((consumed) => consumed.topics), ...produces.map((produced) => produced.topic)];
  return [
    ...unique(writes).map((name) => topic(name, 'Write', 'Describe')),
    ...unique(reads).map((name) => topic(name, 'Read', 'Describe')),
    ...consumes.flatMap((consumed) => [group(consumed.group), group(versionPrefix(consumed.group), 'prefix')]),
    ...(consumes.length + produces.length > 0 ? [group(broadcastPrefix, 'prefix')] : []),
  ];
}

const unique = (names: readonly string[]) => [...new Set(names)].toSorted();

export function usesKafka({ spec }: Pick<EventService, 'spec'>): boolean {
  return (spec.produces ?? []).length + (spec.consumes ?? []).length > 0;
}

/** The KafkaUser of a service; Strimzi writes its password into the Secret of the same name. The service owns it. */
export function kafkaUserOf(service: EventService, cluster: string, acls: readonly Rights[]): KafkaUser {
  const { namespace = '', name } = service.metadata;
  return {
    apiVersion: 'kafka.strimzi.io/v1',
    kind: 'KafkaUser',
    metadata: {
      namespace,
      name,
      labels: { ...managedBy, 'strimzi.io/cluster': cluster },
      ownerReferences: [ownerReference(service)],
    },
    spec: {
      authentication: { type: 'scram-sha-512' },
      authorization: { type: 'simple', acls },
    },
  };
}

/** Rights as somebody may have written them: Strimzi takes a single operation in place of a list, too. */
interface FoundRights {
  resource?: { type?: string; name?: string };
  operations?: readonly string[];
  operation?: string;
}

/** The topics that a KafkaUser may write. */
export function writtenBy(user: KafkaUser | undefined): string[] {
  const { authorization } = (user?.spec ?? {}) as { authorization?: { acls?: readonly FoundRights[] } };
  return (authorization?.acls ?? []).flatMap(({ resource, operation, operations = [operation] }) =>
    resource?.type === 'topic' && resource.name !== undefined && operations.includes('Write') ? [resource.name] : [],
  );
}

export function userCondition(observed: KafkaUser): ConditionUpdate {
  const type = 'UserReady';
  if (!isManaged(observed)) {
    const command = handOverCommand(kafkaUsers, observed, {});
    const message = `the KafkaUser ${observed.metadata.name} exists, and Millrace has not made it: name the service otherwise, or hand it over with: ${command}`;
    return { type, status: 'False', reason: 'UserTaken', message };
  }
  const { ready, failure = 'UserNotReady', message } = strimziReadiness(observed);
  return ready
    ? { type, status: 'True', reason: 'Created', message: '' }
    : { type, status: 'False', reason: failure, message };
}
