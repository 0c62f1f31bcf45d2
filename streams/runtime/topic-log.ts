import type { KafkaAdmin } from '#platform/kafka';
import type { TopicLog } from '#streams/store';

/** Asks Kafka for a topic as it is now. @throws if Kafka does not tell, or a partition has no leader */
export async function readTopicLog(
  admin: Pick<KafkaAdmin, 'topicId' | 'watermarks'>,
  topic: string,
): Promise<TopicLog> {
  const [topicId, watermarks] = await Promise.all([admin.topicId(topic), admin.watermarks(topic)]);
  return { topicId, watermarks };
}
