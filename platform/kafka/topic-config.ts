/** The largest message in bytes: the event of the largest request body must fit, with its headers. */
const maxMessageBytes = 4 * 1024 * 1024;

/** The settings of a topic by Kafka's names. @param retentionMs -1 keeps everything */
export function topicConfig(retentionMs: number): Record<string, string> {
  return { 'retention.ms': String(retentionMs), 'max.message.bytes': String(maxMessageBytes) };
}
