import type { Pool } from '../pg.ts';
import { packedType, unpack } from './pack.ts';

/** An event that waits in an outbox, or has been published from there. */
export interface WrittenEvent {
  topic: string;
  key: string;
  event_id: string;
  type: string;
  source: string;
  data: unknown;
  traceparent: string | null;
}

/** The events of an outbox in the order in which they were written, those of packs one by one, with their JSON read. */
export async function readOutbox(pool: Pool): Promise<WrittenEvent[]> {
  const { rows } = await pool.query<WrittenEvent & { data: Buffer; headers: Record<string, string> | null }>(
    'SELECT topic, key, event_id, type, source, data, traceparent, headers FROM outbox ORDER BY id',
  );
  return rows.flatMap(({ headers, data, ...row }) => {
    const events =
      headers?.['content-type'] === packedType ? unpack(data) : [{ key: row.key, eventId: row.event_id, data }];
    return events.map((event) => ({
      ...row,
      key: event.key,
      event_id: event.eventId,
      data: JSON.parse(event.data.toString()) as unknown,
      traceparent: ('traceparent' in event ? event.traceparent : row.traceparent) ?? null,
    }));
  });
}
