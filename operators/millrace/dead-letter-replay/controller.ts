import { Controller, specChanged } from '#runtime/controller.ts';
import type { Change } from '#runtime/informer.ts';
import { hasFinalizer, isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { RuntimeMetrics } from '#runtime/metrics.ts';
import type { Result } from '#runtime/queue.ts';
import type { Pool } from '#platform/postgres';
import type { DeadLetterReplay, DeadLetterReplayStatus } from '../api/dead-letter-replay.ts';
import { deadLetterReplays } from '../api/kinds.ts';
import { isFinished } from '../completion.ts';
import { letGo } from '../deletion.ts';
import { letFinishedGo } from '../ttl.ts';
import type { ControllerContext } from '../controller-context.ts';
import { byNamespace } from '../informers.ts';
import { StatusReporter } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import type { DatabasePools } from '../database-pools.ts';
import { requestReplay, readProgress, cancelReplay } from './dead-letters.ts';
import { requestedStatus, progressStatus, acceptedStatus, waitingStatus } from './status.ts';

/** How often the progress is read, and how often a replay that cannot begin is tried again. */
const progressEveryMs = 1_000;
const retryMs = 10_000;

/** Cancels the rest of a replay that is deleted before it has finished. */
const finalizer = 'millrace.dev/withdraw-replay';

/** The controller of DeadLetterReplays. */
export function deadLetterReplayController(
  context: ControllerContext,
  pools: DatabasePools,
  metrics: RuntimeMetrics,
): Controller {
  const { api, clock, log, deadLetterReplays: replays, eventServices } = context;
  const reporter = new StatusReporter<DeadLetterReplayStatus>(context, deadLetterReplays, metrics);

  /** The database with the dead letters of a group. */
  async function poolOf(
    { metadata, spec }: DeadLetterReplay,
    signal: AbortSignal,
  ): Promise<{ pool: Pool } | { pool: undefined; reason: string; message: string }> {
    const { namespace = '' } = metadata;
    const consumers = eventServices.store.by(byNamespace, namespace).flatMap((service) => service.spec.consumes ?? []);
    const consumer = consumers.find(({ group }) => group === spec.group);
    if (!consumer) {
      const message = `no EventService of the namespace consumes with the group ${spec.group}`;
      return { pool: undefined, reason: 'NoSuchGroup', message };
    }
    const pool = await pools.get(namespace, consumer.database, signal);
    if (pool) return { pool };
    return { pool: undefined, reason: 'NoDatabase', message: `the database ${consumer.database} does not exist yet` };
  }

  async function cancel(replay: DeadLetterReplay, signal: AbortSignal): Promise<void> {
    const { requestedAt } = replay.status ?? {};
    if (requestedAt === undefined || isFinished(replay.status)) return;
    const { pool } = await poolOf(replay, signal);
    if (pool) await cancelReplay(pool, replay.spec.group, requestedAt);
  }

  async function next(replay: DeadLetterReplay, signal: AbortSignal): Promise<StatusUpdate<DeadLetterReplayStatus>> {
    const { spec, status } = replay;
    const found = await poolOf(replay, signal);
    if (!found.pool) return waitingStatus(status, found.reason, found.message);
    if (status?.requestedAt === undefined) return acceptedStatus(clock.now());
    if (status.selected === undefined) {
      return requestedStatus(status, spec, await requestReplay(found.pool, spec, status.requestedAt), clock.now());
    }
    return progressStatus(status, await readProgress(found.pool, spec.group, status.requestedAt), clock.now());
  }

  async function reconcile(key: string, signal: AbortSignal): Promise<Result | void> {
    const replay = replays.store.get(key);
    if (!replay) {
      reporter.forget(key);
      return;
    }
    const { status } = replay;
    if (isDeleting(replay)) {
      if (!hasFinalizer(replay, finalizer)) return;
      const left = ['the messages of the replay that wait: they are still replayed'];
      const deletion = { type: deadLetterReplays, finalizer, cleanUp: () => cancel(replay, signal), left };
      return await letGo(context, reporter, replay, deletion, signal);
    }
    if (isFinished(status)) return letFinishedGo(context, deadLetterReplays, replay, finalizer, signal);
    // the watch brings the replay back here after this change, as after a step of its status below
    if (await setFinalizer(api, deadLetterReplays, replay, finalizer, true, signal)) return;
    const update = await next(replay, signal);
    await reporter.report(replay, update, signal);
    return { requeueAfterMs: update.fields.requestedAt === undefined ? retryMs : progressEveryMs };
  }

  async function onFailure(key: string, error: unknown, signal: AbortSignal): Promise<void> {
    const replay = replays.store.get(key);
    if (!isFinished(replay?.status)) await reporter.fail(replay, error, signal);
  }

  return new Controller({ name: 'dead-letter-replay', clock, log, metrics, reconcile, onFailure }).for(replays, isStep);
}

/** Lets a status through that is a step of the replay, but none that only shows how far it is. */
function isStep(change: Change<DeadLetterReplay>): boolean {
  const [before, after] = [change.before?.status, change.after?.status];
  return specChanged(change) || before?.requestedAt !== after?.requestedAt || before?.selected !== after?.selected;
}
