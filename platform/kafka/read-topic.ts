import { PlatformError } from '#platform/errors';
import type { IncomingMessage, Kafka } from './port.ts';

/** a group takes some seconds to begin */
const defaultSilentMs = 60_000;

/**
 * Reads what a topic has now, each partition in its order, and commits no offset.
 * @param read.group a consumer group of its own
 * @param read.from where to begin, by partition; the other partitions are left out. Default: at the beginning of all of them
 * @param read.signal ends it with its reason
 * @param read.onMessages called with one batch after the other
 * @param read.silentMs how long nothing may come of a topic that has more, in milliseconds
 * @returns the offset after what was read, by partition
 * @throws the error of `onMessages`; ERR_KAFKA_UNREACHABLE; an error if the topic does not exist, or nothing comes of it, with the reason
 */
export async function readTopic(
  kafka: Kafka,
  read: {
    topic: string;
    group: string;
    from?: ReadonlyMap<number, bigint>;
    onMessages: (messages: readonly IncomingMessage[]) => Promise<void> | void;
    silentMs?: number;
    signal?: AbortSignal;
  },
): Promise<Map<number, bigint>> {
  const { topic, group, from, onMessages, silentMs = defaultSilentMs, signal } = read;
  await kafka.check();
  const known = from ? await kafka.admin.knownWatermarks(topic) : await kafka.admin.watermarks(topic);
  const watermarks = new Map([...known].flatMap(([partition, marks]) => (marks ? [[partition, marks] as const] : [])));
  const ends = new Map([...watermarks].map(([partition, { high }]) => [partition, high]));
  const begin = (partition: number) => (from ? from.get(partition) : watermarks.get(partition)?.low);
  const left = new Map([...ends].filter(([partition, high]) => high > (begin(partition) ?? high)));
  if (left.size === 0) return ends;
  signal?.throwIfAborted();
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
    onAssigned: (partitions) => {
      if (!from) return;
      for (const { partition } of partitions)
        consumer.seek({ topic, partition, offset: begin(partition) ?? ends.get(partition) ?? 0n });
    },
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
  const onAbort = () => ended.reject(signal!.reason);
  signal?.addEventListener('abort', onAbort);
  consumer.start();
  try {
    await ended.promise;
    return ends;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    await consumer.stop();
  }
}
