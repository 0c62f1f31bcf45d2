import { createDecoder, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import type { Kafka } from '#platform/kafka';
import { OutboxRelay } from '#platform/outbox';
import type { Pool } from '#platform/postgres';
import { createLogger } from '#platform/telemetry';

/** A running part of the platform. */
export interface Part {
  /** it throws while the part cannot do its work */
  health: Health;
  /** tells it that events have been committed */
  wake: () => void;
  stop: () => Promise<void>;
}

export const log = createLogger('schedules', 'silent');
export const inboxGroup = 'projection';

interface Surroundings {
  pool: Pool;
  kafka: Kafka;
}

export function startRelay(owner: string, { pool, kafka }: Surroundings): Part {
  const health = new Health();
  const relay = new OutboxRelay({ name: 'schedules', pool, kafka, log, health, owner });
  relay.start();
  return { health, wake: () => relay.wake(), stop: () => relay.stop() };
}

/** An inbox whose handler writes one effect for each record. */
export function startInbox(topics: readonly string[], { pool, kafka }: Surroundings, maxBatch: number): Part {
  const health = new Health();
  const inbox = new Inbox({
    group: inboxGroup,
    topics,
    pool,
    kafka,
    log,
    health,
    maxBatch,
    decode: createDecoder(readJson),
    handle: async (tx, events) => {
      await tx.query('INSERT INTO effects (id, place) SELECT * FROM unnest($1::text[], $2::text[])', [
        events.map(({ id }) => id),
        events.map(({ partition, offset }) => `${partition}/${offset}`),
      ]);
    },
  });
  inbox.start();
  return { health, wake: () => undefined, stop: () => inbox.stop() };
}
