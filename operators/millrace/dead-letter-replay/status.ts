import { timestamp } from '#runtime/clock.ts';
import type { DeadLetterReplaySpec, DeadLetterReplayStatus } from '../api/dead-letter-replay.ts';
import { finishedConditions, unfinishedConditions } from '../completion.ts';
import { fieldsOf } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import type { ReplayProgress, ReplayRequest } from './dead-letters.ts';

type Update = StatusUpdate<DeadLetterReplayStatus>;

/** The replay cannot begin yet. */
export function waitingStatus(status: DeadLetterReplayStatus | undefined, reason: string, message: string): Update {
  return { conditions: unfinishedConditions(reason, message), fields: fieldsOf(status) };
}

/**
 * The time that marks the rows of the replay. It is written before any row gets the mark, so that the operator finds the rows
 * again whatever fails in between.
 */
export function acceptedStatus(now: number): Update {
  const requestedAt = new Date(now).toISOString();
  return { conditions: unfinishedConditions('Requested', ''), fields: { requestedAt, startTime: timestamp(now) } };
}

/** The rows have their mark, or none has one where nothing is to be replayed. */
export function requestedStatus(
  status: DeadLetterReplayStatus,
  { maxMessages }: Pick<DeadLetterReplaySpec, 'maxMessages'>,
  { selected, isTooMany }: ReplayRequest,
  now: number,
): Update {
  const fields = { ...fieldsOf(status), selected };
  const finished = { ...fields, completionTime: timestamp(now) };
  if (isTooMany) {
    const message = `${selected} dead letters are selected, more than maxMessages (${maxMessages}): none was replayed`;
    return { conditions: finishedConditions('Failed', 'TooManyMessages', message), fields: finished };
  }
  if (selected === 0) {
    const conditions = finishedConditions('Complete', 'NothingToReplay', 'no dead letter is selected');
    return { conditions, fields: finished };
  }
  const counted = { replayed: 0, failed: 0, progress: `0/${selected}` };
  return { conditions: unfinishedConditions('Replaying', ''), fields: { ...fields, ...counted } };
}

/** The service handles the rows, or has handled all of them. */
export function progressStatus(status: DeadLetterReplayStatus, progress: ReplayProgress, now: number): Update {
  const { waiting, replayed, failed, outcomes } = progress;
  const selected = status.selected ?? 0;
  const fields = {
    ...fieldsOf(status),
    replayed,
    failed,
    progress: `${replayed + failed}/${selected}`,
    outcomes,
  };
  if (waiting > 0) return { conditions: unfinishedConditions('Replaying', ''), fields };
  const finished = { ...fields, completionTime: timestamp(now) };
  // a message that became a dead letter anew has lost its mark: it is no longer part of this replay
  const lost = selected - replayed - failed;
  if (failed + lost > 0) {
    const anew = lost > 0 ? `; ${lost} have become dead letters anew` : '';
    const message = `${replayed} were handled, ${failed} failed again${anew}`;
    return { conditions: finishedConditions('Failed', 'MessagesFailed', message), fields: finished };
  }
  return { conditions: finishedConditions('Complete', 'Replayed', `${replayed} were handled`), fields: finished };
}
