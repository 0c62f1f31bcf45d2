const poisons = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'TOPIC_AUTHORIZATION_FAILED', 'INVALID_TOPIC_EXCEPTION']);

/**
 * Whether an error may be about another topic than the request. A client of kafkajs asks for the metadata of all topics that it has
 * ever used in one request, and forgets none of them: after one was deleted or forbidden, it fails for every topic, and only a
 * new client can use the others. kafkajs wraps the last error when it makes no more attempts itself.
 */
export function isPoison(error: unknown): boolean {
  const { type, name, cause } = error as { type?: string; name?: string; cause?: unknown };
  if (name === 'KafkaJSNumberOfRetriesExceeded' && cause) return isPoison(cause);
  return poisons.has(type ?? '');
}
