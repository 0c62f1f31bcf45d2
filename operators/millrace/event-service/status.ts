import type { ConditionUpdate } from '#runtime/conditions.ts';
import type { EventServiceStatus } from '../api/event-service.ts';
import { rounded } from '../report.ts';
import type { StatusUpdate } from '../report.ts';
import type { Measurements } from './measure.ts';
import type { MigrationProgress } from './migrate.ts';

/** Sums the conditions up: the first one that is not True says why the service is not ready. */
export function readyOf(conditions: readonly ConditionUpdate[]): ConditionUpdate {
  const missing = conditions.find(({ status }) => status !== 'True');
  if (!missing) return { type: 'Ready', status: 'True', reason: 'Ready', message: '' };
  return { type: 'Ready', status: 'False', reason: missing.reason, message: missing.message };
}

/** @param replicas undefined where the operator does not scale the service */
export function statusFieldsOf(
  { consumers }: Measurements,
  { databases, applied }: MigrationProgress,
  { replicas, kafkaUsers = [] }: { replicas?: number | undefined; kafkaUsers?: EventServiceStatus['kafkaUsers'] },
): StatusUpdate<EventServiceStatus>['fields'] {
  const sum = (values: (number | undefined)[]) =>
    values.length > 0 && values.every((value) => value !== undefined)
      ? values.reduce<number>((total, value) => total + (value ?? 0), 0)
      : undefined;
  const lag = sum(consumers.map((consumer) => consumer.lag));
  const deadLetters = sum(consumers.map((consumer) => consumer.deadLetters));
  const versions = databases.map(({ schemaVersion }) => schemaVersion ?? '-').join(', ');
  return {
    ...(databases.length > 0 ? { databases, schemaVersion: versions } : {}),
    ...(consumers.length > 0 ? { consumers: consumers.map(shown) } : {}),
    ...(lag === undefined ? {} : { lag: rounded(lag) }),
    ...(deadLetters === undefined ? {} : { deadLetters }),
    ...applied,
    ...(replicas === undefined ? {} : { replicas }),
    ...(kafkaUsers.length > 0 ? { kafkaUsers } : {}),
  };
}

const shown = ({ lag, ...consumer }: Measurements['consumers'][number]) =>
  lag === undefined ? consumer : { ...consumer, lag: rounded(lag) };
