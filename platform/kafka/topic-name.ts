import type { TopicPartition } from './port.ts';

const topicName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

/** Whether Kafka takes a name for a topic: its client fails with some others before it asks. */
export function isTopicName(name: string): boolean {
  return topicName.test(name);
}

/** Names a partition, for maps and sentences. */
export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
