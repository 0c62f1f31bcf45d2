import { createHash } from 'node:crypto';
import type { QueryStatus } from '#streams/language';
import type { Statement } from '#runtime/conditions.ts';
import type { StreamQueryStatus } from '../api/stream-query.ts';
import { fieldsOf } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import type { ValidationResult } from './validate.ts';

/** What is known of a query. */
export interface Observed {
  validation: ValidationResult;
  /** whether a service of the namespace runs stream queries */
  hasRunner: boolean;
  /** whether there is no room for it in the ConfigMap */
  isLeftOut: boolean;
  /** whether, not being valid, it goes on as it was accepted before */
  keepsEarlier: boolean;
  topic: { ready: boolean; message: string };
  /** what analytics says of it; undefined: nothing */
  report: QueryStatus | undefined;
  /** whether analytics answers at all */
  reachable: boolean;
}

type Fields = StatusUpdate<StreamQueryStatus>['fields'];

/** The conditions of a query. */
export function conditionsOf(observed: Observed): Statement[] {
  const { error } = observed.validation;
  const valid: Statement =
    error === undefined
      ? { type: 'Valid', status: 'True', reason: 'Accepted', message: '' }
      : { type: 'Valid', status: 'False', reason: 'Invalid', message: error };
  return [valid, readiness(observed)];
}

function readiness({ validation, hasRunner, isLeftOut, keepsEarlier, topic, report, reachable }: Observed): Statement {
  const not = (reason: string, message: string): Statement => ({ type: 'Ready', status: 'False', reason, message });
  if (validation.error !== undefined) {
    return not('Invalid', `${validation.error}${keepsEarlier ? '. It goes on as it was accepted before' : ''}`);
  }
  if (!hasRunner) return not('NoService', 'no EventService of the namespace has streamQueries: true');
  if (isLeftOut) return not('NoRoom', 'the ConfigMap stream-queries is full');
  if (!topic.ready) return not('TopicNotReady', topic.message);
  if (!reachable)
    return { type: 'Ready', status: 'Unknown', reason: 'Unreachable', message: 'analytics does not answer' };
  if (!report) return not('Starting', 'analytics has not loaded it yet');
  return asReported(report, validation.text);
}

/** @param text the file that analytics is to follow */
function asReported(report: QueryStatus, text: string): Statement {
  const { state, version, definition, building, faults = [] } = report;
  const not = (reason: string, message: string): Statement => ({ type: 'Ready', status: 'False', reason, message });
  const still = version > 0 ? '; what ran of it before goes on' : '';
  if (faults.length > 0) return not('Refused', `analytics refuses it: ${faults.join('; ')}${still}`);
  const wanted = createHash('sha256').update(text).digest('hex');
  if (building?.definition === wanted) {
    const { progress, eventsLeft } = building;
    const reads = `analytics reads its events from the first on: ${progress}%, ${eventsLeft} left`;
    return not('Building', building.version === version ? reads : `${reads}; version ${version} goes on until then`);
  }
  if (definition !== undefined && definition !== wanted)
    return not('Starting', `analytics has not read the change yet${still}`);
  if (state === 'Waiting') return not('Waiting', 'analytics waits for Kafka');
  if (state === 'Failed') return not('Failed', 'it has no result for any of its events: a field may be missing');
  return { type: 'Ready', status: 'True', reason: 'Running', message: '' };
}

/**
 * The figures of a query. The watermark goes on with the wall clock while nothing happens: that alone is not worth a write,
 * so that it moves with the other figures.
 */
export function statusFieldsOf(before: StreamQueryStatus | undefined, report: QueryStatus | undefined): Fields {
  if (!report) return fieldsOf(before);
  const { state, version, lag, eventsPerSecond, lateEvents, failedEvents, building, watermark } = report;
  const counted = { state, version, lag, eventsPerSecond: String(eventsPerSecond), lateEvents, failedEvents };
  const next = building && {
    building: { version: building.version, progress: `${building.progress}%`, eventsLeft: building.eventsLeft },
  };
  const moved = Object.entries(counted).some(([name, value]) => before?.[name as keyof Fields] !== value);
  const time = moved ? (watermark ?? undefined) : before?.watermark;
  return { ...counted, ...next, ...(time === undefined ? {} : { watermark: time }) };
}
