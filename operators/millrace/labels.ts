import type { KubeObject, ResourceType } from '#runtime/objects.ts';

/** The one field manager of what this operator applies. */
export const manager = 'millrace-operator';

/** What the names of the operator's own KafkaUsers begin with: it has one in each Kafka of a namespace, with the name of that. */
export const ownUserPrefix = `${manager}-`;

/** The labels of every object that the operator creates. Of other kinds than its own, it watches only objects with these labels. */
const managedByLabel = 'app.kubernetes.io/managed-by';
export const managedBy = { [managedByLabel]: manager };
export const managedSelector = `${managedByLabel}=${manager}`;

/** Whether the operator has made an object, or somebody has handed it over. It changes no other. */
export const isManaged = ({ metadata }: Pick<KubeObject, 'metadata'>): boolean =>
  metadata.labels?.[managedByLabel] === manager;

/** Names the EventService that an object was created for, and that may change it. */
export const madeForLabel = 'millrace.dev/made-for';

/** Names the StreamQuery that a topic was created for, which no service declares. */
export const madeForQueryLabel = 'millrace.dev/made-for-query';

/** Whether a topic was created for a StreamQuery. */
export const isOfQueries = ({ metadata }: Pick<KubeObject, 'metadata'>): boolean =>
  metadata.labels?.[madeForQueryLabel] !== undefined;

/** The command that hands an object over to the operator, for people. @param labels those that it needs besides */
export function handOverCommand(
  { plural, group }: Pick<ResourceType, 'plural' | 'group'>,
  { metadata: { namespace, name } }: Pick<KubeObject, 'metadata'>,
  labels: Readonly<Record<string, string>>,
): string {
  const all = Object.entries({ ...managedBy, ...labels }).map(([label, value]) => `${label}=${value}`);
  const resource = group === '' ? plural : `${plural}.${group}`;
  return `kubectl --namespace ${namespace} label --overwrite ${resource} ${name} ${all.join(' ')}`;
}
