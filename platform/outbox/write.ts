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

const insert = {
  name: 'outbox-append',
  text: `INSERT INTO outbox (topic, key, event_id, type, source, data, headers, traceparent)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::jsonb[], $8::text[])`,
};

/** pg sends bytes in an array as text of twice their length: a row with this many bytes gets a statement of its own. */
const manyBytes = 64 * 1024;

const insertLarge = {
  name: 'outbox-append-large',
  text: `INSERT INTO outbox (topic, key, event_id, type, source, data, headers, traceparent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
};

/** Writes events to the outbox in the caller's transaction, in the given order: one statement, and one for each large event. */
export async function appendToOutbox(tx: PoolClient, events: readonly OutboxEvent[]): Promise<void> {
  let from = 0;
  for (const [i, event] of events.entries()) {
    if (event.data.length < manyBytes) continue;
    await appendTogether(tx, events.slice(from, i));
    await appendLarge(tx, event);
    from = i + 1;
  }
  await appendTogether(tx, events.slice(from));
}

async function appendLarge(tx: PoolClient, event: OutboxEvent): Promise<void> {
  const { topic, key, eventId, type, source, headers, traceparent } = event;
  const data = typeof event.data === 'string' ? Buffer.from(event.data) : event.data;
  await tx.query({ ...insertLarge, values: [topic, key, eventId, type, source, data, headers, traceparent] });
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
