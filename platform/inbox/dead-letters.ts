import { deadLetterTopic } from '#platform/declarations';
import type { OutboxEvent } from '#platform/outbox';
import { appendToOutbox } from '#platform/outbox';
import type { PoolClient } from '#platform/postgres';
import { traceparentOf } from '#platform/telemetry';
import type { Item } from './item.ts';
import { storable } from './storable.ts';

/**
 * The message in the group's dead-letter topic: the original with its headers, and `dlq_` headers that say what happened.
 * A null value becomes an empty one there; the row in the table keeps the difference.
 */
function toDeadLetterEvent({ message, failure, span }: Item, group: string): OutboxEvent {
  const { topic, partition, offset, key, value } = message;
  const { traceparent, ...headers } = message.headers;
  const location = `${topic}/${partition}/${offset}`;
  return {
    topic: deadLetterTopic(group),
    key: storable(key ?? ''),
    eventId: headers['ce_id'] ?? `${group}/${location}`,
    type: headers['ce_type'] ?? 'dead-letter.created',
    source: headers['ce_source'] ?? `/dead-letters/${group}`,
    data: value ?? Buffer.alloc(0),
    headers: storableHeaders({
      ...headers,
      dlq_group: group,
      dlq_topic: topic,
      dlq_partition: String(partition),
      dlq_offset: String(offset),
      dlq_reason: failure?.reason ?? '',
      dlq_attempts: String(failure?.attempts ?? 0),
    }),
    traceparent: span ? traceparentOf(span) : traceparent,
  };
}

function storableHeaders(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [storable(name), storable(value)]));
}

// A group that reads a topic again can meet the same offset twice: the newer failure replaces the older one.
const insert = {
  name: 'inbox-dead-letters',
  text: `INSERT INTO millrace.dead_letters
      (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts)
    SELECT $1, * FROM unnest(
      $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::jsonb[], $8::timestamptz[], $9::text[], $10::int[])
    ON CONFLICT (consumer_group, topic, partition, "offset") DO UPDATE SET
      key = excluded.key, value = excluded.value, headers = excluded.headers, timestamp = excluded.timestamp,
      reason = excluded.reason, attempts = excluded.attempts, created_at = now(),
      replay_requested_at = NULL, replayed_at = NULL, replay_error = NULL`,
};

/** Writes the messages that are given up, in the transaction that moves the offsets past them. */
export type DeadLetterWriter = (tx: PoolClient, group: string, items: readonly Item[]) => Promise<void>;

/** Writes dead letters to the table and, through the outbox, to the group's dead-letter topic. */
export async function writeDeadLetters(tx: PoolClient, group: string, items: readonly Item[]): Promise<void> {
  await tx.query({
    ...insert,
    values: [
      group,
      items.map(({ message }) => message.topic),
      items.map(({ message }) => message.partition),
      items.map(({ message }) => String(message.offset)),
      items.map(({ message }) => (message.key === null ? null : storable(message.key))),
      items.map(({ message }) => message.value),
      items.map(({ message }) => JSON.stringify(storableHeaders(message.headers))),
      items.map(({ message }) => new Date(message.timestamp)),
      items.map(({ failure }) => storable(failure?.reason ?? '')),
      items.map(({ failure }) => failure?.attempts ?? 0),
    ],
  });
  await appendToOutbox(
    tx,
    items.map((item) => toDeadLetterEvent(item, group)),
  );
}
