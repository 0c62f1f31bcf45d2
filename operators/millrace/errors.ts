import { CodedError } from '#platform/errors';
import type { ErrorCatalogue } from '#platform/errors';

/** The errors of the operator. */
export const operatorErrors = {
  ERR_OPERATOR_CONFIG_MAP_TAKEN: {
    means: 'A ConfigMap has the name of one for stream queries, and somebody else has made it.',
    action: 'Delete it, or hand it over with the command that the message has.',
  },
  ERR_OPERATOR_KAFKA: {
    means: 'The topics or ACLs of a service in an external Kafka cannot be kept; the message has the reason.',
    action:
      'Correct the Secrets that the EventService names, the rights of their users, or the topics, as the message says.',
  },
  ERR_OPERATOR_POSTGRESQL: {
    means: 'The databases of a service cannot be created or dropped; the message has the reason.',
    action: 'Correct the Secrets that the EventService names, or the names of its databases, as the message says.',
  },
  ERR_OPERATOR_QUERIES_UNANSWERED: {
    means: 'The workload that runs the stream queries does not answer the operator.',
    action: 'Check whether its pods are ready. The `lastSeen` of the queries tells how old their status is.',
  },
  ERR_OPERATOR_SERVER_SILENT: {
    means: 'PostgreSQL or Kafka has not answered the operator in time; the message says which.',
    action: 'Check whether it runs, and whether a NetworkPolicy or a firewall lets the operator reach it.',
  },
} as const satisfies ErrorCatalogue;

/** An error of the operator. */
export class OperatorError extends CodedError<keyof typeof operatorErrors> {
  override name = 'OperatorError';
}
