import { isDeleting, setFinalizer } from '#runtime/finalizers.ts';
import type { KubeObject, Resource, ResourceType } from '#runtime/objects.ts';
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
  /** why nothing may be cleaned up, as a sentence; undefined where it may be */
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
  const failure = refusal === undefined ? await failureOf(cleanUp, left, signal) : { message: refusal };
  if (failure) {
    const going = await goingNamespace(api, namespace, signal);
    const waits = refusal === undefined && !going;
    if (waits && clock.now() - Date.parse(deletionTimestamp) < giveUpAfterMs) {
      await reporter.notReady(object, { reason: 'DeletionWaits', message: failure.message }, signal);
      return { requeueAfterMs: retryMs };
    }
    const note = `left behind: ${[...left].join(', ')} (${failure.message})`;
    log.warn({ namespace, name, kind: type.kind, err: failure }, note);
    // a namespace that is deleted takes no Event any more: it is told of the namespace itself
    const [about, what] = going ? [going, `${type.kind} ${name}: `] : [object, ''];
    events.record(about, { type: 'Warning', reason: 'LeftBehind', action: 'Delete', note: what + note });
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

/** @returns the namespace if it is being deleted */
async function goingNamespace(
  api: ControllerContext['api'],
  name: string,
  signal: AbortSignal,
): Promise<KubeObject | undefined> {
  try {
    const found = await api.get(namespaces, undefined, name, { signal });
    return found && isDeleting(found) ? found : undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined; // it may not be read: then time decides
  }
}
