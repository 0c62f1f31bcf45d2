import { createKafka } from '#platform/kafka';
import { createLogger } from '#platform/telemetry';

/** The number of records of a topic: the sum of its partitions' end offsets. */
export async function topicEnd(brokers: string, topic: string): Promise<number> {
  const kafka = createKafka({ brokers: brokers.split(','), clientId: 'bench', log: createLogger('bench', 'warn') });
  try {
    const watermarks = await kafka.admin.watermarks(topic);
    return [...watermarks.values()].reduce((sum, { high }) => sum + Number(high), 0);
  } finally {
    await kafka.close();
  }
}
