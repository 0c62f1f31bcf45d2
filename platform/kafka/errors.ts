import { messageOf, PlatformError } from '#platform/errors';

/** A send settles within this time, in milliseconds. */
export const sendTimeoutMs = 5_000;

/** Thrown for a send without the expected acknowledgement; the messages may be in the log or not. */
export class SendFailed extends PlatformError {
  override name = 'SendFailed';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_SEND_FAILED', message, options);
  }
}

/** Thrown when no broker answers. */
export class KafkaUnreachable extends PlatformError {
  override name = 'KafkaUnreachable';

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KAFKA_UNREACHABLE', message, options);
  }
}

/** What Kafka refuses for good, until somebody changes the topic, its ACLs or the message. */
export interface Refusal {
  /** whether every message of the topic is refused, or this one */
  of: 'topic' | 'message';
  reason: string;
}

// A broker answers UNKNOWN_TOPIC_OR_PARTITION also while it starts; ERR_KAFKA_TOPIC_MISSING says that the metadata has no such topic.
const refusals: Readonly<Record<string, Refusal['of']>> = {
  ERR_KAFKA_TOPIC_MISSING: 'topic',
  TOPIC_AUTHORIZATION_FAILED: 'topic',
  INVALID_TOPIC_EXCEPTION: 'topic',
  MESSAGE_TOO_LARGE: 'message',
  RECORD_LIST_TOO_LARGE: 'message',
  INVALID_RECORD: 'message',
};

/** Kafka's own reason, where an error says that this topic or this message is refused; undefined for a failure of the broker. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, type, cause } = error as { code?: unknown; type?: unknown; cause?: unknown };
  const of = refusals[String(type)] ?? refusals[String(code)];
  return of ? { of, reason: messageOf(error) } : refusalOf(cause);
}

/**
 * Kafka's code of a failure, such as TOPIC_AUTHORIZATION_FAILED, which an error or one of its causes has; undefined where the
 * brokers have not said no.
 */
export function errorCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { type, name, errors = [], cause } = error as Error & { type?: unknown; errors?: unknown[] };
  // the client itself finds out that a login has failed, and then has no code
  if (name === 'KafkaJSSASLAuthenticationError') return 'SASL_AUTHENTICATION_FAILED';
  if (typeof type === 'string') return type;
  return [...errors, cause].map(errorCodeOf).find((code) => code !== undefined);
}
