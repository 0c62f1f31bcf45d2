import type { PoolClient } from '#platform/postgres';

/** An event to be published; the transaction that writes it decides whether it happened. */
export interface OutboxEvent {
  topic: string;
  /** the aggregate's id in decimal: events of one key keep their order */
  key: string;
  eventId: string;
  type: string;
  source: string;
  /** JSON text, or the bytes of a message that is passed on */
  data: string | Buffer;
  /** further Kafka headers; they win over those made from the event */
  headers?: Record<string, string>;
  traceparent?: string | undefined;
}

const insert = {
  name: 'outbox-append',
  text: `INSERT INTO outbox (topic, key, event_id, type, source, data, headers, traceparent)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::jsonb[], $8::text[])`,
};

/** In an array bytes are sent as text of twice their length: with so many, a row is worth a statement of its own. */
const manyBytes = 64 * 1024;

const insertLarge = {
  name: 'outbox-append-large',
  text: `INSERT INTO outbox (topic, key, event_id, type, source, data, headers, traceparent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
};

/** Writes events to the outbox, in the order given, in the caller's transaction: in one statement, but for large ones. */
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
