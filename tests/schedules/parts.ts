import { createDecoder, readJson } from '#platform/contract';
import { Health } from '#platform/health';
import { Inbox } from '#platform/inbox';
import { listDeadLetters, requestAction } from '#platform/inbox/operations/dead-letters.ts';
import type { Kafka } from '#platform/kafka';
import { pause } from '#platform/lifecycle';
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

/** The header with the number of a record in its schedule. */
export const recordHeader = 'record';

const decode = createDecoder(readJson);

/**
 * An inbox whose handler writes one effect for each record.
 * @param isCured whether the handler takes poison events: until then it throws for them, at its end
 */
export function startInbox(
  topics: readonly string[],
  { pool, kafka }: Surroundings,
  { maxBatch, isCured }: { maxBatch: number; isCured: () => boolean },
): Part {
  const health = new Health();
  const inbox = new Inbox({
    group: inboxGroup,
    topics,
    pool,
    kafka,
    log,
    health,
    maxBatch,
    recreatedTopics: 'restart',
    decode: (message, headers) => ({ ...decode(message, headers), subject: message.headers[recordHeader]! }),
    handle: async (tx, events) => {
      await tx.query('INSERT INTO effects (id, record) SELECT * FROM unnest($1::text[], $2::text[])', [
        events.map(({ id }) => id),
        events.map(({ subject }) => subject),
      ]);
      const poison = events.find(({ data }) => (data as { isPoison: boolean }).isPoison);
      if (poison && !isCured()) throw new Error(`${poison.id} is poison`);
    },
  });
  inbox.start();
  return { health, wake: () => undefined, stop: () => inbox.stop() };
}

/** Somebody who asks for the replay of all dead letters, again and again. */
export function startOperator({ pool }: Surroundings, everyMs: number): Part {
  const stopping = new AbortController();
  const { signal } = stopping;
  const replayAll = async () => {
    const open = { group: inboxGroup, state: 'OPEN' } as const;
    const letters = await listDeadLetters(pool, open, { before: undefined, limit: 1_000 });
    if (letters.length > 0) await requestAction(pool, 'REPLAY', open, letters.length);
  };
  const running = (async () => {
    while (!signal.aborted) {
      await pause(everyMs, signal);
      if (!signal.aborted) await replayAll().catch(() => undefined); // the next attempt comes soon
    }
  })();
  return {
    health: new Health(),
    wake: () => undefined,
    stop: () => {
      stopping.abort();
      return running;
    },
  };
}
