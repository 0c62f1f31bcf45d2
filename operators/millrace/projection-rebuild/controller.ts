import { Controller, specChanged } from '#runtime/controller.ts';
import { hasFinalizer, isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import type { Result } from '#runtime/queue.ts';
import type { Pool } from '#platform/postgres';
import { projectionRebuilds } from '../api/kinds.ts';
import type { ProjectionRebuild, ProjectionRebuildStatus } from '../api/projection-rebuild.ts';
import type { DatabasePools } from '../database-pools.ts';
import { isFinished } from '../completion.ts';
import { letGo } from '../deletion.ts';
import { letFinishedGo } from '../ttl.ts';
import type { ControllerContext } from '../controller-context.ts';
import { StatusReporter } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import { requestRebuild, cancelRebuild, hasReadModel } from './requests.ts';
import { isOverdue, impossibleStatus, progressStatus, waitingStatus } from './status.ts';

/** How often the progress is read, and how often a rebuild that cannot begin is tried again. */
const progressEveryMs = 1_000;
const retryMs = 10_000;

/** Cancels a rebuild that is deleted before it has finished. */
const finalizer = 'millrace.dev/cancel-rebuild';

/** The controller of ProjectionRebuilds: it requests the rebuild from the service, and reports the progress. */
export function projectionRebuildController(
  context: ControllerContext,
  pools: DatabasePools,
  metrics: RuntimeMetrics,
): Controller {
  const { api, clock, log, projectionRebuilds: rebuilds, eventServices } = context;
  const reporter = new StatusReporter<ProjectionRebuildStatus>(context, projectionRebuilds, metrics);

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
    const pool = await pools.get(namespace, consumer.database, signal);
    return pool ?? waitingStatus('NoDatabase', `the database ${consumer.database} does not exist yet`);
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
      await cancelRebuild(pool, request, `the rebuild was not ready after ${spec.timeoutSeconds} s`);
    }
    const found = await requestRebuild(pool, spec.group, request);
    if (!found) return waitingStatus('Queued', 'another rebuild of the group is in progress');
    return progressStatus(status, found, clock.now());
  }

  async function reconcile(key: string, signal: AbortSignal): Promise<Result | void> {
    const rebuild = rebuilds.store.get(key);
    if (!rebuild) {
      reporter.forget(key);
      return;
    }
    const { metadata, status } = rebuild;
    if (isDeleting(rebuild)) {
      if (!hasFinalizer(rebuild, finalizer)) return;
      const cleanUp = async () => {
        const pool = isFinished(status) ? undefined : await poolOf(rebuild, signal);
        if (pool && !('conditions' in pool))
          await cancelRebuild(pool, metadata.uid!, 'its ProjectionRebuild was deleted');
      };
      const deletion = { type: projectionRebuilds, finalizer, cleanUp, left: ['the rebuild, which goes on'] };
      return await letGo(context, reporter, rebuild, deletion, signal);
    }
    if (isFinished(status)) return letFinishedGo(context, projectionRebuilds, rebuild, finalizer, signal);
    // the watch brings the rebuild back here after this change
    if (await setFinalizer(api, projectionRebuilds, rebuild, finalizer, true, signal)) return;
    const update = await next(rebuild, signal);
    await reporter.report(rebuild, update, signal);
    return { requeueAfterMs: update.fields.startTime === undefined ? retryMs : progressEveryMs };
  }

  async function onFailure(key: string, error: unknown, signal: AbortSignal): Promise<void> {
    const rebuild = rebuilds.store.get(key);
    if (!isFinished(rebuild?.status)) await reporter.fail(rebuild, error, signal);
  }

  return new Controller({ name: 'projection-rebuild', clock, log, metrics, reconcile, onFailure }).for(
    rebuilds,
    specChanged,
  );
}
