import type { Api } from '#runtime/api.ts';
import type { Clock } from '#runtime/clock.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { pods } from '../api/kinds.ts';
import { podsOf } from './migration.ts';
import type { Attempts } from './migration.ts';

interface ContainerState {
  terminated?: { message?: string; exitCode: number };
  waiting?: { reason?: string; message?: string };
}

interface Pod extends KubeObject {
  status?: {
    conditions?: { type: string; status: string; message?: string }[];
    containerStatuses?: { state?: ContainerState; lastState?: ContainerState }[];
  };
}

/** What every container waits for at first, and one that has failed before its next attempt. */
const usualWaits = new Set(['ContainerCreating', 'CrashLoopBackOff', 'PodInitializing']);

/** How long a Job may have no pod, in milliseconds: longer than its controller takes. */
const withoutPodMs = 10_000;

/** How the attempts of a Job went, as its pods say. */
export async function readAttempts(
  { api, clock }: { api: Api; clock: Clock },
  { metadata: { namespace = '', name, creationTimestamp } }: KubeObject,
  signal: AbortSignal,
): Promise<Attempts> {
  const { items } = await api.list<Pod>(pods, { namespace, labelSelector: podsOf(name), signal });
  const age = creationTimestamp === undefined ? 0 : clock.now() - Date.parse(creationTimestamp);
  if (items.length === 0 && age > withoutPodMs)
    return { waiting: `it has got no pod: kubectl -n ${namespace} describe job ${name} says why` };
  return { failure: lastFailure(items), waiting: items.map(waitingReason).find((reason) => reason !== undefined) };
}

function statesOf({ status }: Pod): ContainerState[] {
  return (status?.containerStatuses ?? []).flatMap(({ state, lastState }) => [lastState ?? {}, state ?? {}]);
}

/** The message of the last attempt that failed. */
function lastFailure(items: readonly Pod[]): string | undefined {
  const ends = items.flatMap(statesOf).flatMap(({ terminated }) => terminated ?? []);
  return ends.findLast(({ exitCode }) => exitCode !== 0)?.message?.trim();
}

/** Why a pod cannot begin. */
function waitingReason(pod: Pod): string | undefined {
  const { name } = pod.metadata;
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (unscheduled) return `no node takes the pod ${name}: ${unscheduled.message ?? ''}`;
  const waits = statesOf(pod).flatMap(({ waiting }) => waiting ?? []);
  const unusual = waits.find(({ reason = '' }) => reason !== '' && !usualWaits.has(reason));
  return unusual && `the pod ${name} cannot begin (${unusual.reason}): ${unusual.message ?? ''}`;
}
