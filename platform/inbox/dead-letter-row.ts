import type { IncomingMessage, RawRecord } from '#platform/kafka';

/** A dead letter, as the database has it. */
export interface DeadLetterRow {
  id: string;
  topic: string;
  partition: number;
  offset: string;
  key: string | null;
  value: Buffer | null;
  headers: Record<string, string>;
  timestamp: Date;
  key_bytes: Buffer | null;
  /** null in a row that keeps texts alone */
  header_list: [name: string, value: string | null][] | null;
  timestamp_ms: string | null;
  is_reference: boolean;
}

export const deadLetterColumns = `id, topic, partition, "offset", key, value, headers, timestamp,
  key_bytes, header_list, timestamp_ms, is_reference`;

/** The message of a dead letter, as it was in the log. */
export function messageOf(row: DeadLetterRow): IncomingMessage {
  const { topic, partition, key, value, headers, timestamp, key_bytes, header_list, timestamp_ms } = row;
  const at = { topic, partition, offset: BigInt(row.offset) };
  if (!header_list) return { ...at, key, value, headers, timestamp: timestamp.getTime() };
  const raw: RawRecord = {
    key: key_bytes,
    value,
    headers: header_list.map(([name, text]) => [
      Buffer.from(name, 'base64'),
      text === null ? null : Buffer.from(text, 'base64'),
    ]),
    timestamp: BigInt(timestamp_ms!),
  };
  return {
    ...at,
    key: key_bytes && key_bytes.toString(),
    value,
    headers: Object.fromEntries(
      raw.headers.flatMap(([name, text]) => (text ? [[name.toString(), text.toString()]] : [])),
    ),
    timestamp: Number(raw.timestamp),
    raw: () => raw,
  };
}
