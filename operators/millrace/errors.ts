import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the operator. */
export const operatorErrors = {
  ERR_OPERATOR_POSTGRESQL: {
    means: 'The Secret of the superuser of PostgreSQL cannot be used; the message says why.',
    action: 'Create or mend the Secret that the EventService names.',
  },
  ERR_OPERATOR_QUERIES_UNANSWERED: {
    means: 'The workload that runs the stream queries does not answer the operator.',
    action: 'See whether its pods are ready. The status of the queries is as old as its `lastSeen`.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the operator. */
export class OperatorError extends CodedError<keyof typeof operatorErrors> {
  override name = 'OperatorError';
}
