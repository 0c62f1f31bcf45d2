import { createHash } from 'node:crypto';
import type { StreamStatus } from '#streams/contract';
import { isRefusal } from '#runtime/errors.ts';
import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { StreamQueryStatus } from '../api/stream-query.ts';
import { OperatorError } from '../errors.ts';
import { fieldsOf, rounded } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import type { StrimziReadiness } from '../strimzi.ts';
import type { ValidationResult } from './validate.ts';

/** The operator's view of a query. */
export interface ObservedQuery {
  validation: ValidationResult;
  /** why the file or the topic of a query cannot be written */
  filesFailure?: Error | undefined;
  /** whether a service of the namespace runs stream queries */
  hasRunner: boolean;
  /** whether the query does not fit into the ConfigMaps */
  isOverflow: boolean;
  /** whether a ConfigMap has a file of the query: its last valid one */
  hasFile: boolean;
  /** the topic that the operator creates for the query, if it does */
  topic: StrimziReadiness;
  /** undefined while analytics reports none */
  status: StreamStatus | undefined;
  /** whether analytics answers */
  reachable: boolean;
}

type Fields = StatusUpdate<StreamQueryStatus>['fields'];

export function conditionsOf(observed: ObservedQuery): ConditionUpdate[] {
  const { validation } = observed;
  const valid: ConditionUpdate =
    validation.error === undefined
      ? { type: 'Valid', status: 'True', reason: 'Accepted', message: '' }
      : { type: 'Valid', status: 'False', reason: validation.reason, message: validation.error };
  return [valid, runningOf(observed), readiness(observed)];
}

/** Whether a version of the query runs, which may be the one before a change that is refused or builds its windows. */
function runningOf({ status, reachable }: ObservedQuery): ConditionUpdate {
  const type = 'Running';
  if (!reachable) return { type, status: 'Unknown', reason: 'Unreachable', message: 'analytics does not answer' };
  if (!status) return { type, status: 'False', reason: 'NotLoaded', message: '' };
  return { type, status: status.state === 'Running' ? 'True' : 'False', reason: status.state, message: '' };
}

function notReady(reason: string, message: string): ConditionUpdate {
  return { type: 'Ready', status: 'False', reason, message };
}

function readiness({
  validation,
  filesFailure,
  hasRunner,
  isOverflow,
  hasFile,
  topic,
  status,
  reachable,
}: ObservedQuery): ConditionUpdate {
  if (validation.error !== undefined) {
    const still = hasFile ? '. The version that was accepted before goes on' : '';
    return notReady(validation.reason, validation.error + still);
  }
  if (!hasRunner) return notReady('NoService', 'no EventService of the namespace has streamQueries: true');
  if (isOverflow)
    return notReady('NoRoom', 'the ConfigMaps of the queries are full: delete queries, or use another namespace');
  if (filesFailure) return notReady(reasonOf(filesFailure), filesFailure.message);
  if (!topic.ready) return notReady(topic.failure ?? 'TopicNotReady', topic.message);
  if (!reachable)
    return { type: 'Ready', status: 'Unknown', reason: 'Unreachable', message: 'analytics does not answer' };
  if (!status) return notReady('Starting', 'analytics has not loaded the query yet');
  return readinessOf(status, validation.text);
}

function reasonOf(filesFailure: Error): string {
  if (filesFailure instanceof OperatorError) return 'ConfigMapTaken';
  return isRefusal(filesFailure) ? 'ReconcileRefused' : 'ReconcileFailed';
}

/** @param text the file that analytics is to load */
function readinessOf(status: StreamStatus, text: string): ConditionUpdate {
  const { state, version, definition, building, faults: errors = [] } = status;
  const still = version > 0 ? '; the version before goes on' : '';
  if (errors.length > 0) return notReady('Refused', `analytics refuses the query: ${errors.join('; ')}${still}`);
  const wanted = createHash('sha256').update(text).digest('hex');
  if (building?.definition === wanted) {
    const { progress, eventsLeft } = building;
    const message = `analytics reads the events from the first one on: ${progress}%, ${eventsLeft} left`;
    const isFirst = building.version === version;
    return notReady('Building', isFirst ? message : `${message}; version ${version} goes on until then`);
  }
  if (definition !== undefined && definition !== wanted)
    return notReady('Starting', `analytics has not read the change yet${still}`);
  if (state === 'Waiting') return notReady('Waiting', 'analytics waits for Kafka');
  if (state === 'Failed') return notReady('Failed', 'the query has no result for any event: a field may be missing');
  return { type: 'Ready', status: 'True', reason: 'Running', message: '' };
}

/**
 * The fields of the status. The watermark moves with the wall clock even while no event arrives. That alone is not worth a
 * write, so that the field changes only together with another one.
 */
export function statusFieldsOf(before: StreamQueryStatus | undefined, status: StreamStatus | undefined): Fields {
  if (!status) return fieldsOf(before);
  const { version, lag, eventsPerSecond, lateEvents, failedEvents, building, watermark } = status;
  const [behind, rate] = [rounded(lag), String(rounded(eventsPerSecond))];
  const counted = { version, lag: behind, eventsPerSecond: rate, lateEvents, failedEvents };
  const next = building && {
    building: {
      version: building.version,
      progress: `${building.progress}%`,
      eventsLeft: rounded(building.eventsLeft),
    },
  };
  const moved = Object.entries(counted).some(([name, value]) => before?.[name as keyof Fields] !== value);
  const time = moved ? (watermark ?? undefined) : before?.watermark;
  return { ...counted, ...next, ...(time === undefined ? {} : { watermark: time }) };
}
