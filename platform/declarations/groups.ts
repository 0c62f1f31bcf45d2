// How consumer groups and their topics are named. The operator gives a service its rights by these names.

/** The prefix of groups of one process each, for caches that hear every event from now on. */
export const broadcastPrefix = 'broadcast-';

/** The prefix of the groups beside a service's own: each builds another version of what the group projects. */
export function versionPrefix(group: string): string {
  return `${group}.v`;
}

/** The group that builds a version of a read model: `orders-projection.v2`. */
export function rebuildGroup(group: string, version: number): string {
  return `${versionPrefix(group)}${version}`;
}

/** The group that reads topics again for the versions of stream queries that are being built; it begins with `versionPrefix`. */
export function backfillGroup(group: string): string {
  return `${group}.versions`;
}

const deadLetterSuffix = '.dead-letters';

/** The topic of messages that a consumer group gave up on. */
export function deadLetterTopic(group: string): string {
  return `${group}${deadLetterSuffix}`;
}

export function isDeadLetterTopic(topic: string): boolean {
  return topic.endsWith(deadLetterSuffix);
}
