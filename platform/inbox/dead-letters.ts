import { deadLetterTopic } from '#platform/declarations';
import type { IncomingMessage, RawRecord } from '#platform/kafka';
import type { OutboxEvent } from '#platform/outbox';
import { appendToOutbox, rawRecordEvent } from '#platform/outbox';
import type { PoolClient } from '#platform/postgres';
import { traceparentOf } from '#platform/telemetry';
import { maxReason } from './item.ts';
import type { Item } from './item.ts';
import { storable } from './storable.ts';

/** The message as it is in the log. One that does not come from a log has what was decoded. */
function rawOf(message: IncomingMessage): RawRecord {
  if (message.raw) return message.raw();
  const { key, value, headers, timestamp } = message;
  return {
    key: key === null ? null : Buffer.from(key),
    value,
    headers: Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)]),
    timestamp: BigInt(timestamp),
  };
}

/**
 * The message in the group's dead-letter topic: the original as it is, and `dlq_` headers after its own that say what
 * happened.
 */
function toDeadLetterEvent({ message, failure, span }: Item, raw: RawRecord, group: string): OutboxEvent {
  const { topic, partition, offset, key, headers } = message;
  const location = `${topic}/${partition}/${offset}`;
  const parent = span ? traceparentOf(span) : headers['traceparent'];
  const added: Record<string, string> = {
    dlq_group: group,
    dlq_topic: topic,
    dlq_partition: String(partition),
    dlq_offset: String(offset),
    dlq_timestamp: String(raw.timestamp),
    dlq_reason: failure?.reason ?? '',
    dlq_attempts: String(failure?.attempts ?? 0),
    ...(span && { dlq_traceparent: traceparentOf(span) }),
  };
  return rawRecordEvent(
    {
      topic: deadLetterTopic(group),
      key: storable(key ?? ''),
      eventId: storable(headers['ce_id'] ?? `${group}/${location}`),
      type: storable(headers['ce_type'] ?? 'dead-letter.created'),
      source: storable(headers['ce_source'] ?? `/dead-letters/${group}`),
      traceparent: parent && storable(parent),
    },
    {
      key: raw.key,
      value: raw.value,
      headers: [
        ...raw.headers,
        ...Object.entries(added).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const),
      ],
    },
  );
}

function storableHeaders(headers: Record<string, string>): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(headers).map(([name, value]) => [storable(name), storable(value)])),
  );
}

function headerList({ headers }: RawRecord): string {
  return JSON.stringify(headers.map(([name, value]) => [name.toString('base64'), value?.toString('base64') ?? null]));
}

const earliest = Date.parse('0001-01-01T00:00:00.000Z');
const latest = Date.parse('9999-12-31T23:59:59.999Z');

/** The nearest time that every reader of a timestamptz knows. */
function storableTime(timestamp: number): Date {
  return new Date(Math.max(earliest, Math.min(latest, timestamp)));
}

// A group that reads a topic again can meet the same offset twice: the newer failure replaces the older one.
const insert = {
  name: 'inbox-dead-letters',
  text: `INSERT INTO millrace.dead_letters
      (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts,
        key_bytes, header_list, timestamp_ms, is_reference)
    SELECT $1, * FROM unnest(
      $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::jsonb[], $8::timestamptz[], $9::text[], $10::int[],
      $11::bytea[], $12::jsonb[], $13::bigint[], $14::boolean[])
    ON CONFLICT (consumer_group, topic, partition, "offset") DO UPDATE SET
      key = excluded.key, value = excluded.value, headers = excluded.headers, timestamp = excluded.timestamp,
      reason = excluded.reason, attempts = excluded.attempts, key_bytes = excluded.key_bytes,
      header_list = excluded.header_list, timestamp_ms = excluded.timestamp_ms, is_reference = excluded.is_reference,
      created_at = now(), replay_requested_at = NULL, replayed_at = NULL, replay_error = NULL`,
};

/** Writes the messages that are given up, in the transaction that moves the offsets past them. */
export type DeadLetterWriter = (tx: PoolClient, group: string, items: readonly Item[]) => Promise<void>;

/**
 * Writes dead letters to the table and, through the outbox, to the group's dead-letter topic. One that could not be written
 * becomes a reference: its row says where the message is, and why it failed.
 */
export async function writeDeadLetters(tx: PoolClient, group: string, items: readonly Item[]): Promise<void> {
  const letters = items.map((item) => ({
    item,
    raw: item.failure?.isReference ? undefined : rawOf(item.message),
  }));
  await tx.query({
    ...insert,
    values: [
      group,
      items.map(({ message }) => message.topic),
      items.map(({ message }) => message.partition),
      items.map(({ message }) => String(message.offset)),
      letters.map(({ item, raw }) => (raw?.key ? storable(item.message.key ?? '') : null)),
      letters.map(({ raw }) => raw?.value ?? null),
      letters.map(({ item, raw }) => (raw ? storableHeaders(item.message.headers) : '{}')),
      items.map(({ message }) => storableTime(message.timestamp)),
      items.map(({ failure }) => storable(failure?.reason ?? '', maxReason)),
      items.map(({ failure }) => failure?.attempts ?? 0),
      letters.map(({ raw }) => raw?.key ?? null),
      letters.map(({ raw }) => raw && headerList(raw)),
      letters.map(({ raw }) => raw && String(raw.timestamp)),
      letters.map(({ raw }) => raw === undefined),
    ],
  });
  await appendToOutbox(
    tx,
    letters.flatMap(({ item, raw }) => (raw ? [toDeadLetterEvent(item, raw, group)] : [])),
  );
}
