import { timestamp } from '#runtime/clock.ts';
import type { ProjectionRebuildSpec, ProjectionRebuildStatus } from '../api/projection-rebuild.ts';
import { finishedConditions, unfinishedConditions } from '../completion.ts';
import type { StatusUpdate } from '../report.ts';
import type { Rebuild } from './requests.ts';

type Update = StatusUpdate<ProjectionRebuildStatus>;

/** The rebuild cannot begin yet. */
export function waitingStatus(reason: string, message: string): Update {
  return { conditions: unfinishedConditions(reason, message), fields: {} };
}

/** The rebuild can never begin. */
export function impossibleStatus(message: string, now: number): Update {
  const time = timestamp(now);
  return {
    conditions: finishedConditions('Failed', 'NoReadModel', message),
    fields: { startTime: time, completionTime: time },
  };
}

/** The service builds the new version, or has finished. */
export function progressStatus(status: ProjectionRebuildStatus | undefined, rebuild: Rebuild, now: number): Update {
  const { version, phase, events, lag, error } = rebuild;
  const startTime = status?.startTime ?? timestamp(now);
  const fields = {
    version,
    startTime,
    events,
    ...(lag === undefined ? {} : { lag }),
    progress: progressOf(rebuild),
  };
  const finished = { ...fields, completionTime: timestamp(now) };
  switch (phase) {
    case 'Switched':
      return {
        conditions: finishedConditions('Complete', 'Switched', `version ${version} is in use`),
        fields: finished,
      };
    case 'Failed':
    case 'Cancelled':
      return {
        conditions: finishedConditions('Failed', phase === 'Failed' ? 'BuildFailed' : 'Cancelled', error ?? ''),
        fields: finished,
      };
    default:
      return { conditions: unfinishedConditions(phase, error ?? ''), fields };
  }
}

/** The share of the events that the new version has handled; 100 % only when it is in use. */
export function progressOf({ phase, events, lag }: Pick<Rebuild, 'phase' | 'events' | 'lag'>): string {
  if (phase === 'Switched') return '100%';
  if (lag === undefined || events + lag === 0) return '0%';
  return `${Math.min(99, Math.floor((100 * events) / (events + lag)))}%`;
}

/** Whether its time is over. */
export function isOverdue(
  { timeoutSeconds }: Pick<ProjectionRebuildSpec, 'timeoutSeconds'>,
  status: ProjectionRebuildStatus | undefined,
  now: number,
): boolean {
  if (timeoutSeconds === undefined || status?.startTime === undefined) return false;
  return now - Date.parse(status.startTime) > timeoutSeconds * 1000;
}
