import { eventually } from '#test/eventually.ts';
import type { IncomingMessage, Kafka } from '../port.ts';

/** Reads a topic from its start, until what it has read is enough. @param what names that in the error */
export async function readTopic(
  kafka: Kafka,
  topic: string,
  isEnough: (messages: readonly IncomingMessage[]) => boolean,
  what: string,
): Promise<IncomingMessage[]> {
  const messages: IncomingMessage[] = [];
  const consumer = kafka.consumer({
    group: `reader-${topic}`,
    topics: [topic],
    from: 'earliest',
    async onBatch(batch) {
      messages.push(...batch.messages);
      return true;
    },
  });
  consumer.start();
  try {
    await eventually(() => isEnough(messages), what);
  } finally {
    await consumer.stop();
  }
  return messages;
}
