import { randomUUID } from 'node:crypto';
import { broadcastPrefix } from '#platform/declarations';
import type { Logger } from '#platform/telemetry';
import type { ConsumerHandle, IncomingMessage, Kafka } from './port.ts';

export interface BroadcastOptions {
  kafka: Kafka;
  topics: readonly string[];
  /** Called with each message. An error is logged and the message counts as seen. */
  onMessage: (message: IncomingMessage) => void;
  /** Called after each (re)join: messages may have been missed, so that a cache should forget what it has. */
  onReset?: () => void;
  log: Logger;
}

/**
 * Hands every process every message from now on, as caches need it: a consumer group of its own that commits nothing and
 * vanishes with the process.
 */
export function subscribeLatest({ kafka, topics, onMessage, onReset, log }: BroadcastOptions): ConsumerHandle {
  const consumer = kafka.consumer({
    group: `${broadcastPrefix}${randomUUID()}`,
    topics,
    from: 'latest',
    onAssigned: () => onReset?.(),
    onBatch: (batch) => {
      for (const message of batch.messages) {
        try {
          onMessage(message);
        } catch (error) {
          const { topic, partition, offset } = message;
          log.warn({ err: error, topic, partition, offset: String(offset) }, 'a broadcast message was not understood');
        }
      }
      return Promise.resolve(true);
    },
  });
  consumer.start();
  return consumer;
}
