import { PlatformError } from '#platform/errors';
import type { IncomingMessage, Kafka } from './port.ts';

/** a group takes some seconds to begin */
const defaultSilentMs = 60_000;

/**
 * Reads what a topic has now, each partition in its order, and commits no offset.
 * @param read.group a consumer group of its own
 * @param read.onMessages called with one batch after the other
 * @param read.silentMs how long nothing may come of a topic that has more, in milliseconds
 * @throws the error of `onMessages`; ERR_KAFKA_UNREACHABLE; an error if the topic does not exist, or nothing comes of it, with the reason
 */
export async function readTopic(
  kafka: Kafka,
  read: {
    topic: string;
    group: string;
    onMessages: (messages: readonly IncomingMessage[]) => Promise<void> | void;
    silentMs?: number;
  },
): Promise<void> {
  const { topic, group, onMessages, silentMs = defaultSilentMs } = read;
  await kafka.check();
  const ends = await kafka.admin.watermarks(topic);
  const left = new Map([...ends].filter(([, { low, high }]) => high > low).map(([p, { high }]) => [p, high]));
  if (left.size === 0) return;
  const ended = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    const [cause] = [...left.keys()].flatMap((partition) => consumer.waitsFor({ topic, partition }) ?? []);
    const nothing = `nothing comes of ${topic} for the group ${group}`;
    ended.reject(new PlatformError('ERR_UNAVAILABLE', cause === undefined ? nothing : `${nothing}: ${cause}`));
  }, silentMs);
  const reach = (partition: number, offset: bigint): void => {
    timer.refresh();
    if (offset >= (left.get(partition) ?? offset + 1n)) left.delete(partition);
    if (left.size === 0) ended.resolve();
  };
  const consumer = kafka.consumer({
    group,
    topics: [topic],
    from: 'earliest',
    concurrency: 1,
    onPassed: ({ partition, offset }) => reach(partition, offset),
    onBatch: async ({ partition, messages, nextOffset }) => {
      const end = left.get(partition);
      if (end === undefined) return true;
      try {
        await onMessages(messages.filter(({ offset }) => offset < end));
      } catch (error) {
        ended.reject(error);
        return false;
      }
      reach(partition, nextOffset);
      return true;
    },
  });
  consumer.start();
  try {
    await ended.promise;
  } finally {
    clearTimeout(timer);
    await consumer.stop();
  }
}
