import { trimManagedFields } from '#runtime/apply.ts';
import { Informer } from '#runtime/informer.ts';
import type { InformerOptions } from '#runtime/informer.ts';
import type { KubeObject, ResourceType } from '#runtime/objects.ts';
import type { DeadLetterReplay } from './api/dead-letter-replay.ts';
import type { EventService } from './api/event-service.ts';
import * as kinds from './api/kinds.ts';
import type { ProjectionRebuild } from './api/projection-rebuild.ts';
import type { StreamQuery } from './api/stream-query.ts';
import { managedSelector, manager } from './labels.ts';
import { configMapNames } from './stream-query/config-map.ts';
import type { KafkaTopic, KafkaUser } from './strimzi.ts';

export interface Job extends KubeObject {
  status?: { conditions?: { type: string; status: string; message?: string }[] };
}

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

/** Index of objects by their namespace. */
export const byNamespace = 'namespace';
const indexers = { [byNamespace]: ({ metadata }: Pick<KubeObject, 'metadata'>) => [metadata.namespace ?? ''] };

/** The informers of the operator: one for each kind that it watches. */
export type Informers = ReturnType<typeof createInformers>;

export function createInformers(
  options: Pick<InformerOptions<KubeObject>, 'api' | 'clock' | 'log' | 'metrics' | 'namespaces'>,
) {
  const informer = <T extends KubeObject>(
    type: ResourceType,
    selector: Pick<InformerOptions<T>, 'labelSelector' | 'names' | 'optional'> = {},
  ) =>
    new Informer<T>({
      ...options,
      type,
      indexers,
      transform: (object) => trimManagedFields(object, manager),
      ...selector,
    });
  const managed = { labelSelector: managedSelector };
  return {
    eventServices: informer<EventService>(kinds.eventServices),
    streamQueries: informer<StreamQuery>(kinds.streamQueries),
    deadLetterReplays: informer<DeadLetterReplay>(kinds.deadLetterReplays),
    projectionRebuilds: informer<ProjectionRebuild>(kinds.projectionRebuilds),
    kafkaTopics: informer<KafkaTopic>(kinds.kafkaTopics, { ...managed, optional: true }),
    kafkaUsers: informer<KafkaUser>(kinds.kafkaUsers, { ...managed, optional: true }),
    jobs: informer<Job>(kinds.jobs, managed),
    configMaps: informer<ConfigMap>(kinds.configMaps, { names: configMapNames }),
  };
}
