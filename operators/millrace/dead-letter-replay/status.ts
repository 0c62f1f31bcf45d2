import { timestamp } from '#runtime/clock.ts';
import type { Statement } from '#runtime/conditions.ts';
import type { DeadLetterReplaySpec, DeadLetterReplayStatus } from '../api/dead-letter-replay.ts';
import { finishedConditions, unfinishedConditions } from '../completion.ts';
import type { Claim, Progress } from './dead-letters.ts';

/** What a replay says of itself: its conditions and its figures. */
export interface Said {
  conditions: Statement[];
  figures: Omit<DeadLetterReplayStatus, 'conditions' | 'observedGeneration'>;
}

const figuresBefore = (status: DeadLetterReplayStatus | undefined): Said['figures'] => {
  const { conditions: _c, observedGeneration: _o, ...figures } = status ?? {};
  return figures;
};

/** It cannot begin yet. */
export function sayWaiting(status: DeadLetterReplayStatus | undefined, reason: string, message: string): Said {
  return { conditions: unfinishedConditions(reason, message), figures: figuresBefore(status) };
}

/** The mark of its rows, written before they get it: what it asked for is found again whatever happens in between. */
export function sayRequested(now: number): Said {
  const requestedAt = new Date(now).toISOString();
  return { conditions: unfinishedConditions('Requested', ''), figures: { requestedAt, startTime: timestamp(now) } };
}

/** What asking came to. */
export function sayClaimed(
  status: DeadLetterReplayStatus,
  { maxMessages }: Pick<DeadLetterReplaySpec, 'maxMessages'>,
  { selected, isTooMany }: Claim,
  now: number,
): Said {
  const figures = { ...figuresBefore(status), selected };
  const end = { completionTime: timestamp(now) };
  if (isTooMany) {
    const message = `${selected} dead letters are selected, more than maxMessages (${maxMessages}): none was replayed`;
    return { conditions: finishedConditions('Failed', 'TooManyMessages', message), figures: { ...figures, ...end } };
  }
  if (selected === 0) {
    return {
      conditions: finishedConditions('Complete', 'NothingToReplay', 'no dead letter is selected'),
      figures: { ...figures, ...end },
    };
  }
  const counted = { replayed: 0, failed: 0, progress: `0/${selected}` };
  return { conditions: unfinishedConditions('Replaying', ''), figures: { ...figures, ...counted } };
}

/** How far it is, and whether that is the end. */
export function sayProgress(status: DeadLetterReplayStatus, progress: Progress, now: number): Said {
  const { waiting, replayed, failed, outcomes } = progress;
  const selected = status.selected ?? 0;
  // a message that was given up on anew meanwhile has lost its mark: it is no longer this replay's
  const figures = {
    ...figuresBefore(status),
    replayed,
    failed,
    progress: `${replayed + failed}/${selected}`,
    outcomes,
  };
  if (waiting > 0) return { conditions: unfinishedConditions('Replaying', ''), figures };
  const done = { ...figures, completionTime: timestamp(now) };
  const lost = selected - replayed - failed;
  const gone = lost > 0 ? `; ${lost} have become dead letters anew` : '';
  if (failed + lost > 0) {
    const message = `${replayed} were handled, ${failed} failed again${gone}`;
    return { conditions: finishedConditions('Failed', 'MessagesFailed', message), figures: done };
  }
  return { conditions: finishedConditions('Complete', 'Replayed', `${replayed} were handled`), figures: done };
}
