import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';

/** How many records a topic has had: the sum of its partitions' ends. */
export async function topicEnd(brokers: string, topic: string): Promise<number> {
  const kafka = createKafka({ brokers: brokers.split(','), clientId: 'bench', log: createLogger('bench', 'warn') });
  try {
    const watermarks = await kafka.admin.watermarks(topic);
    return [...watermarks.values()].reduce((sum, { high }) => sum + Number(high), 0);
  } finally {
    await kafka.close();
  }
}
