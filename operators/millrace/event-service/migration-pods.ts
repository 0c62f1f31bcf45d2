import type { Api } from '#runtime/api.ts';
import type { Clock } from '#runtime/clock.ts';
import { isDeleting } from '#runtime/finalizers.ts';
import type { KubeObject } from '#runtime/objects.ts';
import { pods } from '../api/kinds.ts';
import { migrateContainer, podsOf } from './migration.ts';
import type { Attempts } from './migration.ts';

interface ContainerState {
  running?: object;
  terminated?: { message?: string; exitCode: number };
  waiting?: { reason?: string; message?: string };
}

interface ContainerStatus {
  name: string;
  state?: ContainerState;
  lastState?: ContainerState;
}

/** A pod of a Job, as far as it says how the migrations go. */
export interface MigrationPod extends KubeObject {
  status?: {
    phase?: string;
    startTime?: string;
    conditions?: { type: string; status: string; message?: string }[];
    /** those of a mesh, too: the migrations wait for them */
    initContainerStatuses?: ContainerStatus[];
    containerStatuses?: ContainerStatus[];
  };
}

/** What every container waits for at first. */
const usualWaits = new Set(['ContainerCreating', 'PodInitializing']);
/** What one waits for that has failed. */
const crashing = 'CrashLoopBackOff';

/** How long a Job may have no pod, in milliseconds: longer than its controller takes. */
const withoutPodMs = 10_000;

/** How long a usual wait may take, in milliseconds: a large image takes a while. */
const usualWaitMs = 120_000;

/** How the attempts of a Job went, as its pods say. */
export async function readAttempts(
  { api, clock }: { api: Api; clock: Clock },
  { metadata: { namespace = '', name, creationTimestamp } }: KubeObject,
  signal: AbortSignal,
): Promise<Attempts> {
  const { items } = await api.list<MigrationPod>(pods, { namespace, labelSelector: podsOf(name), signal });
  const age = creationTimestamp === undefined ? 0 : clock.now() - Date.parse(creationTimestamp);
  if (items.length === 0 && age > withoutPodMs)
    return { waiting: `it has got no pod: kubectl -n ${namespace} describe job ${name} says why` };
  const failure = lastFailure(items);
  const current = items.filter((pod) => !isOver(pod));
  if (current.some(isMigrating)) return { failure };
  return { failure, waiting: current.map((pod) => waitingReason(pod, clock.now())).find(Boolean) };
}

/** Whether the migrations of a pod are running. */
export const isMigrating = ({ status }: MigrationPod): boolean =>
  (status?.containerStatuses ?? []).some(
    ({ name, state }) => name === migrateContainer && state?.running !== undefined,
  );

/** Whether a pod begins no more, such as one that was evicted: it keeps what its containers waited for. */
const isOver = (pod: MigrationPod): boolean =>
  isDeleting(pod) || ['Failed', 'Succeeded'].includes(pod.status?.phase ?? '');

function statesOf({ status }: MigrationPod): ContainerState[] {
  return (status?.containerStatuses ?? []).flatMap(({ state, lastState }) => [lastState ?? {}, state ?? {}]);
}

/** The message of the last attempt that failed. */
function lastFailure(items: readonly MigrationPod[]): string | undefined {
  const ends = items.flatMap(statesOf).flatMap(({ terminated }) => terminated ?? []);
  return ends.findLast(({ exitCode }) => exitCode !== 0)?.message?.trim();
}

/** Why a pod cannot begin. */
function waitingReason(pod: MigrationPod, now: number): string | undefined {
  const { name } = pod.metadata;
  const unscheduled = pod.status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
  if (unscheduled) return `no node takes the pod ${name}: ${unscheduled.message ?? ''}`;
  const { startTime = '', initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  const waitsOf = (statuses: ContainerStatus[]) => statuses.flatMap(({ state }) => state?.waiting ?? []);
  const isOld = now - Date.parse(startTime) > usualWaitMs;
  // the migrations themselves may fail, and are tried again: that is no wait
  const waits = [
    ...waitsOf(initContainerStatuses),
    ...waitsOf(containerStatuses).filter(({ reason }) => reason !== crashing),
  ];
  const wait = waits.find(({ reason = '' }) => reason !== '' && (isOld || !usualWaits.has(reason)));
  return wait && `the pod ${name} cannot begin (${wait.reason}): ${wait.message ?? ''}`;
}
