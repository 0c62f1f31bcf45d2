import { RecordBody } from '#platform/kafka/kafkajs/fetch.ts';
import type { Pool } from '#platform/postgres';
import { bodiesOf, packedType } from './pack.ts';

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
    'SELECT topic, key, event_id, type, source, data, traceparent, headers FROM millrace.outbox ORDER BY id',
  );
  return rows.flatMap(({ headers, data, ...row }) =>
    headers?.['content-type'] === packedType
      ? unpack(data).map(({ headers: own, ...event }) => ({ ...row, ...event, ...attributesOf(own) }))
      : [{ ...row, data: JSON.parse(data.toString()) as unknown }],
  );
}

function attributesOf(headers: Record<string, string>) {
  const { ce_id: id = '', ce_type: type = '', ce_source: source = '', traceparent = null } = headers;
  return { event_id: id, type, source, traceparent };
}

/** The messages of a pack, with their JSON read. */
export function unpack(data: Buffer): { key: string; data: unknown; headers: Record<string, string> }[] {
  return [...bodiesOf(data)].map(({ start }) => {
    const body = new RecordBody(start);
    const { start: from, end } = body.valueIn(data)!;
    const value = JSON.parse(data.toString('utf8', from, end)) as unknown;
    return { key: body.keyIn(data)!, data: value, headers: body.headersIn(data) };
  });
}
