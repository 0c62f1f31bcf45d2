import type { PoolClient } from '#platform/postgres';

/** An event to publish, if the transaction that writes it commits. */
export interface OutboxEvent {
  topic: string;
  /** the aggregate's id in decimal; the events of a key keep their order */
  key: string;
  eventId: string;
  type: string;
  source: string;
  /** JSON text, or the bytes of the message's value */
  data: string | Buffer;
  /** more Kafka headers; they replace those of the same name that come from the event */
  headers?: Record<string, string>;
  traceparent?: string | undefined;
}

/** The platform's outbox of a database. */
export const outboxTable = 'millrace.outbox';

const insert = {
  name: 'outbox-append',
  text: `INSERT INTO ${outboxTable} (topic, key, event_id, type, source, data, headers, traceparent)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::jsonb[], $8::text[])`,
};

/** pg sends bytes in an array as text of twice their length: a row with this many bytes gets a statement of its own. */
const manyBytes = 64 * 1024;

const insertOne = `INSERT INTO ${outboxTable} (topic, key, event_id, type, source, data, headers, traceparent)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`;

/** The statement that writes one event, for a transaction of another client than pg. */
export function outboxInsert({ topic, key, eventId, type, source, data, headers, traceparent }: OutboxEvent) {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  return { text: insertOne, values: [topic, key, eventId, type, source, bytes, headers ?? null, traceparent ?? null] };
}

/** Writes events to the outbox in the caller's transaction, in the given order: one statement, and one for each large event. */
export async function appendToOutbox(tx: PoolClient, events: readonly OutboxEvent[]): Promise<void> {
  let from = 0;
  for (const [i, event] of events.entries()) {
    if (event.data.length < manyBytes) continue;
    await appendTogether(tx, events.slice(from, i));
    await tx.query({ name: 'outbox-append-large', ...outboxInsert(event) });
    from = i + 1;
  }
  await appendTogether(tx, events.slice(from));
}

async function appendTogether(tx: PoolClient, events: readonly OutboxEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.query({
    ...insert,
    values: [
      events.map((event) => event.topic),
      events.map((event) => event.key),
      events.map((event) => event.eventId),
      events.map((event) => event.type),
      events.map((event) => event.source),
      events.map((event) => (typeof event.data === 'string' ? Buffer.from(event.data) : event.data)),
      events.map((event) => (event.headers ? JSON.stringify(event.headers) : null)),
      events.map((event) => event.traceparent ?? null),
    ],
  });
}
