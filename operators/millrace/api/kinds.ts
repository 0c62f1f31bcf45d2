import type { ResourceType } from '#runtime/objects.ts';
import { group, version } from './common.ts';
import type { KindDefinition } from './common.ts';
import { deadLetterReplayDefinition } from './dead-letter-replay.ts';
import { eventServiceDefinition } from './event-service.ts';
import { projectionRebuildDefinition } from './projection-rebuild.ts';
import { streamQueryDefinition } from './stream-query.ts';

/** The kinds of the API group; each has a CRD. */
export const definitions: readonly KindDefinition[] = [
  eventServiceDefinition,
  streamQueryDefinition,
  projectionRebuildDefinition,
  deadLetterReplayDefinition,
];

const typeOf = ({ kind, plural }: KindDefinition): ResourceType => ({ group, version, kind, plural, namespaced: true });

export const eventServices = typeOf(eventServiceDefinition);
export const streamQueries = typeOf(streamQueryDefinition);
export const projectionRebuilds = typeOf(projectionRebuildDefinition);
export const deadLetterReplays = typeOf(deadLetterReplayDefinition);

const builtIn = (groupName: string, kind: string, plural: string, v = 'v1'): ResourceType => ({
  group: groupName,
  version: v,
  kind,
  plural,
  namespaced: true,
});

export const namespaces: ResourceType = { ...builtIn('', 'Namespace', 'namespaces'), namespaced: false };
export const configMaps = builtIn('', 'ConfigMap', 'configmaps');
export const secrets = builtIn('', 'Secret', 'secrets');
export const pods = builtIn('', 'Pod', 'pods');
export const jobs = builtIn('batch', 'Job', 'jobs');
export const deployments = builtIn('apps', 'Deployment', 'deployments');
export const kafkas = builtIn('kafka.strimzi.io', 'Kafka', 'kafkas');
export const kafkaTopics = builtIn('kafka.strimzi.io', 'KafkaTopic', 'kafkatopics');
export const kafkaUsers = builtIn('kafka.strimzi.io', 'KafkaUser', 'kafkausers');
