import { RecordBody } from '#platform/kafka/record/decoder.ts';
import type { Pool } from '#platform/postgres';
import { recordBodies, recordBatchType } from './record-batch.ts';

/** An event of an outbox, published or not. */
export interface WrittenEvent {
  topic: string;
  key: string;
  event_id: string;
  type: string;
  source: string;
  data: unknown;
  traceparent: string | null;
}

/** The events of an outbox in the order in which they were written, with parsed data; record batches are decoded. */
export async function readOutbox(pool: Pool): Promise<WrittenEvent[]> {
  const { rows } = await pool.query<WrittenEvent & { data: Buffer; headers: Record<string, string> | null }>(
    'SELECT topic, key, event_id, type, source, data, traceparent, headers FROM millrace.outbox ORDER BY id',
  );
  return rows.flatMap(({ headers, data, ...row }) =>
    headers?.['content-type'] === recordBatchType
      ? decodeRecordBatch(data).map(({ headers: own, ...event }) => ({ ...row, ...event, ...attributesOf(own) }))
      : [{ ...row, data: JSON.parse(data.toString()) as unknown }],
  );
}

function attributesOf(headers: Record<string, string>) {
  const { ce_id: id = '', ce_type: type = '', ce_source: source = '', traceparent = null } = headers;
  return { event_id: id, type, source, traceparent };
}

/** The messages of a record batch, with parsed data. */
export function decodeRecordBatch(data: Buffer): { key: string; data: unknown; headers: Record<string, string> }[] {
  return [...recordBodies(data)].map(({ start }) => {
    const body = new RecordBody(start);
    const { start: from, end } = body.valueIn(data)!;
    const value = JSON.parse(data.toString('utf8', from, end)) as unknown;
    return { key: body.keyIn(data)!, data: value, headers: body.headersIn(data) };
  });
}
