import type { KubeObject } from '#runtime/objects.ts';
import { controllerOf } from '#runtime/objects.ts';
import type { EventService } from '../api/event-service.ts';
import { jobs, pods } from '../api/kinds.ts';
import type { ControllerContext } from '../controller-context.ts';
import { byNamespace } from '../informers.ts';
import { isMigrating } from './migration-pods.ts';
import type { MigrationPod } from './migration-pods.ts';
import { hasSamePods, jobState, podsOf } from './migration.ts';

/**
 * Deletes the Jobs of a service that a wanted one replaces: with another image, or with other pods, which may have no node that takes
 * them. One whose migrations are running goes on, because somebody would have to mend what half a migration has left behind.
 * @returns whether it has deleted one that has the name of the wanted one, which can be made now
 */
export async function deleteReplaced(
  { api, jobs: known }: Pick<ControllerContext, 'api' | 'jobs'>,
  service: EventService,
  wanted: KubeObject,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace = '', name: serviceName } = service.metadata;
  let isFree = false;
  for (const job of known.store.by(byNamespace, namespace)) {
    if (controllerOf(job, 'EventService') !== serviceName) continue;
    const { name, uid } = job.metadata;
    const isNamesake = name === wanted.metadata.name;
    if (isNamesake && (jobState(job) === 'Complete' || hasSamePods(job, wanted))) continue;
    const { items } = await api.list<MigrationPod>(pods, { namespace, labelSelector: podsOf(name), signal });
    if (items.some(isMigrating)) continue;
    await api.delete(jobs, namespace, name, { signal, uid });
    isFree ||= isNamesake;
  }
  return isFree;
}
