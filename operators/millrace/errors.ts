import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the operator. */
export const operatorErrors = {
  ERR_OPERATOR_POSTGRESQL: {
    means: 'The Secret of the superuser of PostgreSQL is missing or wrong; the message has the reason.',
    action: 'Create or correct the Secret that the EventService names.',
  },
  ERR_OPERATOR_QUERIES_UNANSWERED: {
    means: 'The workload that runs the stream queries does not answer the operator.',
    action: 'Check whether its pods are ready. The `lastSeen` of the queries tells how old their status is.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the operator. */
export class OperatorError extends CodedError<keyof typeof operatorErrors> {
  override name = 'OperatorError';
}
