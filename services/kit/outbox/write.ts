import type { PoolClient } from '../pg.ts';

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

/** Writes events to the outbox, in the order given, in one statement of the caller's transaction. */
export async function appendToOutbox(tx: PoolClient, events: readonly OutboxEvent[]): Promise<void> {
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
