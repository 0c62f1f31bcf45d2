import { Controller } from '#runtime/controller.ts';
import { hasFinalizer, isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import type { Result } from '#runtime/queue.ts';
import type { Pool } from '#platform/postgres';
import { projectionRebuilds } from '../api/kinds.ts';
import type { ProjectionRebuild, ProjectionRebuildStatus } from '../api/projection-rebuild.ts';
import type { Databases } from '../databases.ts';
import { isFinished } from '../completion.ts';
import { deleteAfterTtl } from '../ttl.ts';
import type { ControllerContext } from '../controller-context.ts';
import { reportStatus } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import { askForRebuild, cancelRebuild, hasReadModel } from './requests.ts';
import { isOverdue, impossibleStatus, progressStatus, waitingStatus } from './status.ts';

const lookEveryMs = 1_000;
const waitMs = 10_000;

/** Gives the rebuild up when it is deleted before its end. */
export const finalizer = 'millrace.dev/cancel-rebuild';

/** The controller of ProjectionRebuilds: it asks the service, which builds, and tells how far that is. */
export function projectionRebuildController(
  context: ControllerContext,
  databases: Databases,
  metrics: RuntimeMetrics,
): Controller {
  const { api, clock, log, projectionRebuilds: rebuilds, eventServices } = context;

  /** The database of the read model. */
  async function poolOf(
    { metadata, spec }: ProjectionRebuild,
    signal: AbortSignal,
  ): Promise<Pool | StatusUpdate<ProjectionRebuildStatus>> {
    const { namespace = '' } = metadata;
    const service = eventServices.store.get(`${namespace}/${spec.service}`);
    const consumer = service?.spec.consumes?.find(({ group }) => group === spec.group);
    if (!consumer)
      return waitingStatus('NoSuchGroup', `no EventService ${spec.service} consumes with the group ${spec.group}`);
    const pool = await databases.pool(namespace, consumer.database, signal);
    return pool ?? waitingStatus('NoDatabase', `the database ${consumer.database} is not there yet`);
  }

  async function next(rebuild: ProjectionRebuild, signal: AbortSignal): Promise<StatusUpdate<ProjectionRebuildStatus>> {
    const { metadata, spec, status } = rebuild;
    const pool = await poolOf(rebuild, signal);
    if ('conditions' in pool) return pool;
    const request = metadata.uid!;
    if (!(await hasReadModel(pool, spec.group))) {
      return impossibleStatus(`the group ${spec.group} has no read model that can be built anew`, clock.now());
    }
    if (isOverdue(spec, status, clock.now())) {
      await cancelRebuild(pool, request, `it was not ready after ${spec.timeoutSeconds} s`);
    }
    const found = await askForRebuild(pool, spec.group, request);
    if (!found) return waitingStatus('Queued', 'another rebuild of the group is under way');
    return progressStatus(status, found, clock.now());
  }

  async function reconcile(key: string, signal: AbortSignal): Promise<Result | void> {
    const rebuild = rebuilds.store.get(key);
    if (!rebuild) return;
    const { metadata, status } = rebuild;
    if (isDeleting(rebuild)) {
      if (!hasFinalizer(rebuild, finalizer)) return;
      const pool = isFinished(status) ? undefined : await poolOf(rebuild, signal);
      if (pool && !('conditions' in pool))
        await cancelRebuild(pool, metadata.uid!, 'its ProjectionRebuild was deleted');
      await setFinalizer(api, projectionRebuilds, rebuild, finalizer, false, signal);
      return;
    }
    if (isFinished(status)) return deleteAfterTtl(context, projectionRebuilds, rebuild, signal);
    // the change of the finalizer brings it back here, as the change of the status does below
    if (await setFinalizer(api, projectionRebuilds, rebuild, finalizer, true, signal)) return;
    const update = await next(rebuild, signal);
    await reportStatus(context, projectionRebuilds, rebuild, update, signal);
    return { requeueAfterMs: update.fields.phase === undefined ? waitMs : lookEveryMs };
  }

  return new Controller({ name: 'projection-rebuild', clock, log, metrics, reconcile }).watches(rebuilds);
}
