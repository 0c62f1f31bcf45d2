/** Bytes of the largest message: an event of the largest request body, with its headers, must fit. */
const maxMessageBytes = 4 * 1024 * 1024;

/** The settings of a topic, by the names that Kafka has for them. @param retentionMs -1 keeps everything */
export function topicConfig(retentionMs: number): Record<string, string> {
  return { 'retention.ms': String(retentionMs), 'max.message.bytes': String(maxMessageBytes) };
}
