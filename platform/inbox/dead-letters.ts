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
export function rawOf(message: IncomingMessage): RawRecord {
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

// A group that reads a topic again can meet the same offset twice: the newer failure replaces the older one, and gets a new id,
// because the order of the ids is that in which the messages of a key are handled.
const forget = {
  name: 'inbox-forget-dead-letters',
  text: `DELETE FROM millrace.dead_letters d USING unnest($2::text[], $3::int[], $4::bigint[]) AS m(topic, partition, "offset")
    WHERE d.consumer_group = $1 AND d.topic = m.topic AND d.partition = m.partition AND d."offset" = m."offset"
      AND (d.replayed_at IS NOT NULL OR d.discarded_at IS NOT NULL)`,
};

// A message that is a dead letter already keeps its place where it is to wait.
const insert = {
  name: 'inbox-dead-letters',
  text: `INSERT INTO millrace.dead_letters
      (consumer_group, topic, partition, "offset", key, value, headers, timestamp, reason, attempts,
        key_bytes, header_list, timestamp_ms, is_reference, is_waiting, key_hash, event_id, type, error_code)
    SELECT $1, * FROM unnest(
      $2::text[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::jsonb[], $8::timestamptz[], $9::text[], $10::int[],
      $11::bytea[], $12::jsonb[], $13::bigint[], $14::boolean[], $15::boolean[], $16::bytea[], $17::text[], $18::text[],
      $19::text[])
    ON CONFLICT (consumer_group, topic, partition, "offset") DO UPDATE SET
      key = excluded.key, value = excluded.value, headers = excluded.headers, timestamp = excluded.timestamp,
      reason = excluded.reason, attempts = excluded.attempts, key_bytes = excluded.key_bytes,
      header_list = excluded.header_list, timestamp_ms = excluded.timestamp_ms, is_reference = excluded.is_reference,
      is_waiting = false, key_hash = excluded.key_hash, event_id = excluded.event_id, type = excluded.type,
      error_code = excluded.error_code, job_id = NULL,
      created_at = now(), replay_requested_at = NULL, replayed_at = NULL, replay_error = NULL
    WHERE NOT excluded.is_waiting`,
};

const block = {
  name: 'inbox-block-keys',
  text: `INSERT INTO millrace.blocked_keys (consumer_group, topic, key_hash)
    SELECT DISTINCT $1, k.topic, k.key_hash FROM unnest($2::text[], $3::bytea[]) AS k(topic, key_hash)
    ORDER BY k.topic, k.key_hash ON CONFLICT DO NOTHING`,
};

const reasonOfWaiting = 'an earlier message of its key is a dead letter';

/** Writes the messages that are given up and those that wait, in the transaction that moves the offsets past them. */
export type DeadLetterWriter = (tx: PoolClient, group: string, items: readonly Item[]) => Promise<void>;

/**
 * Writes dead letters to the table and, through the outbox, to the group's dead-letter topic. Those that wait behind another
 * one are in the table alone. One that could not be written becomes a reference: its row says where the message is, and why
 * it failed.
 */
export async function writeDeadLetters(tx: PoolClient, group: string, items: readonly Item[]): Promise<void> {
  const letters = items.map((item) => ({
    item,
    raw: item.failure?.isReference ? undefined : rawOf(item.message),
  }));
  const where = [
    items.map(({ message }) => message.topic),
    items.map(({ message }) => message.partition),
    items.map(({ message }) => String(message.offset)),
  ];
  const field = (name: 'id' | 'type') =>
    letters.map(({ item: { message, event }, raw }) => {
      const text = raw && (message.headers[`ce_${name}`] ?? event?.[name]);
      return text === undefined ? null : storable(text);
    });
  await tx.query({ ...forget, values: [group, ...where] });
  await tx.query({
    ...insert,
    values: [
      group,
      ...where,
      letters.map(({ item, raw }) => (raw?.key ? storable(item.message.key ?? '') : null)),
      letters.map(({ raw }) => raw?.value ?? null),
      letters.map(({ item, raw }) => (raw ? storableHeaders(item.message.headers) : '{}')),
      items.map(({ message }) => storableTime(message.timestamp)),
      items.map(({ failure, isWaiting }) => storable(failure?.reason ?? (isWaiting ? reasonOfWaiting : ''), maxReason)),
      items.map(({ failure }) => failure?.attempts ?? 0),
      letters.map(({ raw }) => raw?.key ?? null),
      letters.map(({ raw }) => raw && headerList(raw)),
      letters.map(({ raw }) => raw && String(raw.timestamp)),
      letters.map(({ raw }) => raw === undefined),
      items.map(({ isWaiting }) => isWaiting ?? false),
      items.map(({ keyHash }) => keyHash ?? null),
      field('id'),
      field('type'),
      items.map(({ failure }) => (failure?.code === undefined ? null : storable(failure.code))),
    ],
  });
  const open = items.filter(({ isWaiting }) => !isWaiting);
  const blocking = open.filter(({ keyHash }) => keyHash);
  if (blocking.length > 0) {
    const keys = [blocking.map(({ message }) => message.topic), blocking.map(({ keyHash }) => keyHash)];
    await tx.query({ ...block, values: [group, ...keys] });
  }
  await publishDeadLetters(tx, group, open);
}

/** Writes dead letters to the outbox, for the group's dead-letter topic. */
export async function publishDeadLetters(tx: PoolClient, group: string, items: readonly Item[]): Promise<void> {
  const events = items.flatMap((item) =>
    item.failure?.isReference ? [] : [toDeadLetterEvent(item, rawOf(item.message), group)],
  );
  if (events.length > 0) await appendToOutbox(tx, events);
}
