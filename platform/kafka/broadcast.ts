import { randomUUID } from 'node:crypto';
import { broadcastPrefix } from '#platform/declarations';
import type { Logger } from '#platform/telemetry';
import type { ConsumerHandle, IncomingMessage, Kafka } from './port.ts';

export interface BroadcastOptions {
  kafka: Kafka;
  topics: readonly string[];
  /** Called with each message. Its errors are logged, and the message counts as handled. */
  onMessage: (message: IncomingMessage) => void;
  /** Called after each (re)join, and for messages that cannot be read: some can be missed, so a cache has to drop its content. */
  onReset: () => void;
  log: Logger;
}

/**
 * Passes every new message to this process, as caches need it. Each process has its own consumer group, which commits
 * nothing and disappears with the process.
 */
export function subscribeLatest({ kafka, topics, onMessage, onReset, log }: BroadcastOptions): ConsumerHandle {
  const consumer = kafka.consumer({
    group: `${broadcastPrefix}${randomUUID()}`,
    topics,
    from: 'latest',
    onAssigned: () => onReset(),
    onBatch: (batch) => {
      for (const message of batch.messages) {
        try {
          if (message.unreadable) onReset();
          else onMessage(message);
        } catch (error) {
          const { topic, partition, offset } = message;
          log.warn(
            { err: error, topic, partition, offset: String(offset) },
            'a broadcast message could not be handled',
          );
        }
      }
      return Promise.resolve(true);
    },
  });
  consumer.start();
  return consumer;
}
