import { randomUUID } from 'node:crypto';
import { broadcastPrefix } from '#platform/declarations';
import { PlatformError } from '#platform/errors';
import { readTopic } from '#platform/kafka';
import type { IncomingMessage, Kafka } from '#platform/kafka';
import type { PoolClient } from '#platform/postgres';
import { rowHeader } from './rows.ts';

/** how long nothing may come of the topic, in milliseconds */
const silentMs = 15_000;

/** An event that a relay has sent. */
export interface SentEvent {
  /** of its row in the outbox or the event store */
  row: string;
  /** of the event */
  id: string;
  /** when it happened, in milliseconds since 1970 */
  time: number;
}

/** Where a service whose database draws ids finds its events again. */
export interface OwnEvents {
  /** the topic of its events */
  topic: string;
  /** @returns the times of the rows of these events that the database has, in milliseconds since 1970, by the ids of the rows */
  find(session: PoolClient, events: readonly SentEvent[]): Promise<Map<string, number>>;
}

/** Finds events in the outbox. It has those of the last day, and says of earlier ones that they are there. */
export async function findInOutbox(session: PoolClient, events: readonly SentEvent[]): Promise<Map<string, number>> {
  const { rows } = await session.query<{ id: string; time: number }>(
    // with the slots, the primary key finds them
    `SELECT id::text, extract(epoch FROM created_at)::float8 * 1000 AS time FROM millrace.outbox
       WHERE slot = ANY ('{0,1,2}') AND id = ANY ($1::bigint[])
     UNION ALL
     SELECT id::text, time FROM unnest($1::bigint[], $2::float8[]) AS given(id, time)
       WHERE time < extract(epoch FROM now() - interval '1 day') * 1000`,
    [events.map(({ row }) => row), events.map(({ time }) => time)],
  );
  return new Map(rows.map(({ id, time }) => [id, Math.round(time)]));
}

/** @throws ERR_OUTBOX_BEHIND if the database lacks an event that it has sent */
async function assertFound(session: PoolClient, own: OwnEvents, events: readonly SentEvent[]): Promise<void> {
  if (events.length === 0) return;
  const found = await own.find(session, events);
  const lost = events.find(({ row, time }) => found.get(row) !== time);
  if (lost)
    throw new PlatformError(
      'ERR_OUTBOX_BEHIND',
      `the database was put back to an earlier time: ${own.topic} has ${lost.id}, which it has not. Take back what it has lost: npm run recover`,
    );
}

/**
 * Makes sure that a database has the events that the end of their topic has. One that was put back to an earlier time lacks the last of
 * them, draws their ids again, and consumers take the new events for repeated ones.
 * @param from where to begin, by partition
 * @throws ERR_OUTBOX_BEHIND if it lacks one; ERR_UNAVAILABLE where nothing of the topic comes
 */
export async function assertNothingLost(
  session: PoolClient,
  read: { kafka: Kafka; own: OwnEvents; from: ReadonlyMap<number, bigint>; signal: AbortSignal },
): Promise<void> {
  const { kafka, own, from, signal } = read;
  if (from.size === 0) return;
  await readTopic(kafka, {
    topic: own.topic,
    group: `${broadcastPrefix}${randomUUID()}`,
    from,
    silentMs,
    signal,
    onMessages: (messages) => assertFound(session, own, messages.flatMap(sentEvent)),
  });
}

/** The event of a message that a relay has sent; others may have written to the topic, too. */
function sentEvent({ headers, unreadable }: IncomingMessage): SentEvent[] {
  if (unreadable) return [];
  const { [rowHeader]: row = '', ce_id: id = '', ce_time: at = '' } = headers;
  const time = Date.parse(at);
  return /^\d{1,18}$/.test(row) && !Number.isNaN(time) ? [{ row, id, time }] : [];
}
