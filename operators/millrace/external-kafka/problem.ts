import { messageOf } from '#platform/errors';
import { KafkaUnreachable, errorCodeOf } from '#platform/kafka';
import { OperatorError } from '../errors.ts';
import { isSilence } from '../silent-servers.ts';

/** Why topics or ACLs of an external Kafka cannot be kept. */
export class KafkaProblem extends OperatorError {
  override name = 'KafkaProblem';
  /** of a condition */
  readonly reason: string;

  constructor(reason: string, message: string, options?: ErrorOptions) {
    super('ERR_OPERATOR_KAFKA', message, options);
    this.reason = reason;
  }
}

const loginRefused = new Set(['SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM', 'ILLEGAL_SASL_STATE']);
/** Codes of what Kafka does not do, however often it is asked. */
const refused = new Set([
  'INVALID_CONFIG',
  'INVALID_PARTITIONS',
  'INVALID_REPLICATION_FACTOR',
  'INVALID_REQUEST',
  'INVALID_TOPIC_EXCEPTION',
  'POLICY_VIOLATION',
  'SECURITY_DISABLED',
  'TOPIC_DELETION_DISABLED',
  'UNSUPPORTED_VERSION',
]);

/**
 * What a failure of Kafka's means, as a sentence.
 * @param what that was tried, such as `create the topic orders`
 * @param user who tried it; undefined where clients say nothing of themselves
 * @throws the error where it is none of Kafka's
 */
export function problemOf(error: unknown, what: string, user: string | undefined): KafkaProblem {
  const code = errorCodeOf(error);
  if (error instanceof KafkaProblem) return error;
  if (code === undefined && !(error instanceof KafkaUnreachable) && !isSilence(error)) throw error;
  const [reason, message] = explain(
    error,
    code ?? '',
    what,
    user === undefined ? 'clients without a user' : `the user ${user}`,
  );
  return new KafkaProblem(reason, message, { cause: error });
}

function explain(error: unknown, code: string, what: string, who: string): [reason: string, message: string] {
  const said = messageOf(rootOf(error));
  if (loginRefused.has(code)) return ['KafkaLoginRefused', `Kafka refuses ${who}: ${said}`];
  if (code.endsWith('_AUTHORIZATION_FAILED'))
    return ['KafkaRightMissing', `Kafka does not let ${who} ${what} (${code})`];
  if (refused.has(code)) return ['KafkaRefused', `Kafka refuses to ${what} (${code}): ${said}`];
  return ['KafkaUnavailable', `cannot ${what}: ${messageOf(error)}`];
}

/** Whether Kafka has said that it does not do something: then it surely has not. */
export function isRefusal(error: unknown): boolean {
  const code = errorCodeOf(error) ?? '';
  return refused.has(code) || code.endsWith('_AUTHORIZATION_FAILED');
}

/** The innermost error, which the brokers' own words are in. */
function rootOf(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { cause, errors } = error as Error & { errors?: unknown[] };
  const inner = errors?.[0] ?? cause;
  return inner === undefined ? error : rootOf(inner);
}

/** Whether everything else that Kafka is asked would fail alike, each after a while. */
export const isAway = (reason: string | undefined): boolean =>
  reason === 'KafkaUnavailable' || reason === 'KafkaLoginRefused';

const unasked = new Set(['KafkaSlow', 'NoCertificates', 'NoKafkaLogin']);

/** Whether Kafka may have said nothing of what it was asked for. */
export const isUnseen = (reason: string | undefined): boolean => isAway(reason) || unasked.has(reason ?? '');
