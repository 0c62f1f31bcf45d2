import { isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { Resource, ResourceType } from '#runtime/objects.ts';
import type { Result } from '#runtime/queue.ts';
import { namespaces } from './api/kinds.ts';
import type { ControllerContext } from './controller-context.ts';
import type { StatusReporter, StatusWithConditions } from './report.ts';

/** How long a deletion waits for what cannot be reached, and how often it tries. */
const giveUpAfterMs = 10 * 60_000;
const retryMs = 10_000;

interface Deletion {
  type: ResourceType;
  finalizer: string;
  /** Cleans up behind the resource. It takes from `left` what is cleaned up. */
  cleanUp: (left: Set<string>) => Promise<void>;
  /** what there is to clean up, for people */
  left: Iterable<string>;
  /** why some of it may not be cleaned up, as a sentence, and waiting does not help; undefined where all may be */
  refusal?: string | undefined;
}

/**
 * Cleans up behind a resource that is deleted, and lets it go. Where that fails it tries again for a while, and says so in the
 * status. Then, or at once where the whole namespace is deleted, it lets the resource go, with an Event that says what was left.
 */
export async function letGo<Status extends StatusWithConditions>(
  context: Pick<ControllerContext, 'api' | 'clock' | 'events' | 'log'>,
  reporter: StatusReporter<Status>,
  object: Resource<unknown, Status>,
  { type, finalizer, cleanUp, left: all, refusal }: Deletion,
  signal: AbortSignal,
): Promise<Result | void> {
  const { api, clock, events, log } = context;
  const { namespace = '', name, deletionTimestamp = '' } = object.metadata;
  const left = new Set(all);
  const failure = await failureOf(cleanUp, left, signal);
  const why = [failure?.message, refusal].filter((reason) => reason !== undefined);
  if (failure || (refusal !== undefined && left.size > 0)) {
    const isGoing = await isNamespaceGoing(api, namespace, signal);
    if (failure && !isGoing && clock.now() - Date.parse(deletionTimestamp) < giveUpAfterMs) {
      await reporter.notReady(object, { reason: 'DeletionWaits', message: failure.message }, signal);
      return { requeueAfterMs: retryMs };
    }
    const note = `left behind${isGoing ? ` in the namespace ${namespace}` : ''}: ${[...left].join(', ')} (${why.join('; ')})`;
    log.warn({ namespace, name, kind: type.kind, err: failure }, note);
    events.record(object, { type: 'Warning', reason: 'LeftBehind', action: 'Delete', note }, { isGoing });
  }
  await setFinalizer(api, type, object, finalizer, false, signal);
}

/** @returns undefined where the work has not failed */
async function failureOf(
  cleanUp: Deletion['cleanUp'],
  left: Set<string>,
  signal: AbortSignal,
): Promise<Error | undefined> {
  try {
    await cleanUp(left);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return error as Error;
  }
}

/** Whether a namespace is being deleted. */
async function isNamespaceGoing(api: ControllerContext['api'], name: string, signal: AbortSignal): Promise<boolean> {
  try {
    const found = await api.get(namespaces, undefined, name, { signal });
    return found !== undefined && isDeleting(found);
  } catch (error) {
    if (signal.aborted) throw error;
    return false; // it may not be read: then time decides
  }
}
