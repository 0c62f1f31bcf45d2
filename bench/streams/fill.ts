import { createKafka } from '#platform/kafka';
import type { KafkaConnection, OutgoingMessage, Producer } from '#platform/kafka';
import { partitionOf } from '#platform/kafka/partitioning.ts';
import { createLogger } from '#platform/telemetry';
import { BruteForce, orders } from './events.ts';
import type { Expected } from './events.ts';

const partitions = 6;
/** messages of a partition in one request */
const sendSize = 1_000;

/** Fills a topic of six partitions with `n` order events. @returns the expected results of the queries */
export async function fill(connection: KafkaConnection, topic: string, n: number): Promise<Expected> {
  const kafka = createKafka({ ...connection, clientId: 'bench', log: createLogger('bench', 'warn') });
  try {
    await kafka.admin.ensureTopics([{ name: topic, partitions, retentionMs: -1 }]);
    return await produce(await kafka.producer(), topic, n);
  } finally {
    await kafka.close();
  }
}

async function produce(producer: Producer, topic: string, n: number): Promise<Expected> {
  const truth = new BruteForce();
  let waiting = Array.from({ length: partitions }, (): OutgoingMessage[] => []);
  let count = 0;
  const send = async () => {
    const round = waiting;
    waiting = round.map(() => []);
    await Promise.all(
      round.map((messages, i) => (messages.length > 0 ? producer.send(topic, i, messages) : Promise.resolve())),
    );
  };
  for (const order of orders(n)) {
    truth.add(order);
    const key = String(order.orderId);
    const headers = {
      ce_specversion: '1.0',
      ce_id: `bench-${key}`,
      ce_type: 'order.created',
      ce_source: '/orders',
      ce_subject: key,
      ce_time: new Date(order.time).toISOString(),
    };
    waiting[partitionOf(key, partitions)]!.push({
      key,
      value: Buffer.from(order.json),
      headers,
      timestamp: order.time,
    });
    count += 1;
    if (count % (sendSize * partitions) === 0) await send();
  }
  await send();
  return truth.expected;
}
