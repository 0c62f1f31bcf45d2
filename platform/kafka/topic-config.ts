import { isDeadLetterTopic } from '#platform/declarations';

/** The largest message in bytes: the event of the largest request body must fit, with its headers. */
const maxMessageBytes = 4 * 1024 * 1024;

/** The room in a dead-letter topic for the headers that a dead letter has beside those of its message. */
const deadLetterRoom = 256 * 1024;

/** The settings of a topic by Kafka's names. A dead-letter topic takes whatever another topic took. @param retentionMs -1 keeps everything */
export function topicConfig(topic: string, retentionMs: number): Record<string, string> {
  const maxBytes = maxMessageBytes + (isDeadLetterTopic(topic) ? deadLetterRoom : 0);
  return { 'retention.ms': String(retentionMs), 'max.message.bytes': String(maxBytes) };
}
