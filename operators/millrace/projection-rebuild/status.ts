import { timestamp } from '#runtime/clock.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { ProjectionRebuildSpec, ProjectionRebuildStatus } from '../api/projection-rebuild.ts';
import { finishedConditions, unfinishedConditions } from '../completion.ts';
import type { Rebuild } from './requests.ts';

/** What a rebuild says of itself: its conditions and its figures. */
export interface Said {
  conditions: Statement[];
  figures: Omit<ProjectionRebuildStatus, 'conditions' | 'observedGeneration'>;
}

/** It cannot begin yet. */
export function sayWaiting(reason: string, message: string): Said {
  return { conditions: unfinishedConditions(reason, message), figures: {} };
}

/** It never can. */
export function sayImpossible(message: string, now: number): Said {
  const at = timestamp(now);
  return {
    conditions: finishedConditions('Failed', 'NoReadModel', message),
    figures: { phase: 'Failed', startTime: at, completionTime: at },
  };
}

/** How far it is, and whether that is the end. */
export function sayProgress(status: ProjectionRebuildStatus | undefined, rebuild: Rebuild, now: number): Said {
  const { version, phase, events, lag, error } = rebuild;
  const startTime = status?.startTime ?? timestamp(now);
  const figures = {
    phase,
    version,
    startTime,
    events,
    ...(lag === undefined ? {} : { lag }),
    progress: progressOf(rebuild),
  };
  const end = { ...figures, completionTime: timestamp(now) };
  switch (phase) {
    case 'Switched':
      return { conditions: finishedConditions('Complete', 'Switched', `version ${version} is in use`), figures: end };
    case 'Failed':
    case 'Cancelled':
      return {
        conditions: finishedConditions('Failed', phase === 'Failed' ? 'BuildFailed' : 'Cancelled', error ?? ''),
        figures: end,
      };
    default:
      return { conditions: unfinishedConditions(phase, ''), figures };
  }
}

/** How much of the events the new version has; 100 % only when it is in use. */
export function progressOf({ phase, events, lag }: Pick<Rebuild, 'phase' | 'events' | 'lag'>): string {
  if (phase === 'Switched') return '100%';
  if (lag === undefined || events + lag === 0) return '0%';
  return `${Math.min(99, Math.floor((100 * events) / (events + lag)))}%`;
}

/** Whether it has taken longer than it may. */
export function isOverdue(
  { timeoutSeconds }: Pick<ProjectionRebuildSpec, 'timeoutSeconds'>,
  status: ProjectionRebuildStatus | undefined,
  now: number,
): boolean {
  if (timeoutSeconds === undefined || status?.startTime === undefined) return false;
  return now - Date.parse(status.startTime) > timeoutSeconds * 1000;
}
