import type { KafkaAdmin } from '#platform/kafka';
import type { TopicLog } from '#streams/store';

/**
 * Asks Kafka for a topic as it is now: the offsets are those of the topic with the id, though it may be created again meanwhile.
 * @throws if Kafka does not tell, or a partition has no leader
 */
export async function readTopicLog(
  admin: Pick<KafkaAdmin, 'topicId' | 'watermarks'>,
  topic: string,
): Promise<TopicLog> {
  for (let topicId = await admin.topicId(topic); ;) {
    const watermarks = await admin.watermarks(topic);
    const still = await admin.topicId(topic);
    if (still === topicId) return { topicId, watermarks };
    topicId = still;
  }
}
