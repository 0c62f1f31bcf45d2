import type { KafkaAdmin } from './port.ts';

/**
 * Asks Kafka for the offsets of a topic, and for its id: they belong together, though the topic may be created again meanwhile.
 * @param ask for the offsets
 * @throws what the questions throw
 */
export async function readTopicLog<T>(
  admin: Pick<KafkaAdmin, 'topicId'>,
  topic: string,
  ask: (topic: string) => Promise<T>,
): Promise<{ topicId: string | undefined; watermarks: T }> {
  for (let topicId = await admin.topicId(topic); ;) {
    const watermarks = await ask(topic);
    const still = await admin.topicId(topic);
    if (still === topicId) return { topicId, watermarks };
    topicId = still;
  }
}
