import { encodeHeaders } from '#platform/contract';
import { PlatformError } from '#platform/errors';
import { keyOf } from '#platform/kafka';
import type { OutgoingMessage } from '#platform/kafka';
import { SpanKind, isSampled, startSpan, traceparentOf } from '#platform/telemetry';
import type { Span } from '#platform/telemetry';
import type { ReadPosition } from './cursor.ts';
import { bodyHead, recordBatchType, recordBodies } from './record-batch.ts';

/** A row of the outbox, as the relay reads it. */
export interface OutboxRow extends ReadPosition {
  topic: string;
  key: string;
  event_id: string;
  type: string;
  source: string;
  data: Buffer;
  headers: Record<string, string> | null;
  traceparent: string | null;
  created_at: Date;
  /** of one message of a record batch: its number there */
  part?: number;
  /** of such a message, as it is read from the outbox: the row of the batch */
  whole?: OutboxRow;
}

/** A row with its message, and with a span where the trace is sampled. */
export interface Outgoing {
  row: OutboxRow;
  message: OutgoingMessage;
  span: Span | undefined;
}

/** Whether a row holds a record batch. */
export function isRecordBatch(row: OutboxRow): boolean {
  return row.headers?.['content-type'] === recordBatchType;
}

/**
 * The messages of a row, each as a row: a record batch has many, each of which is a record batch of one record. Their keys are texts
 * that PostgreSQL takes: keys that become equal here wait for each other, and each is sent as it was. A record batch that cannot be
 * read is one message.
 */
export function messagesOf(row: OutboxRow): OutboxRow[] {
  if (!isRecordBatch(row) || row.part !== undefined) return [row];
  const { data } = row;
  let bodies;
  try {
    bodies = [...recordBodies(data)];
  } catch {
    return [row];
  }
  return bodies.map(({ start, end }, part) => {
    const key = keyOf(data, start);
    return {
      ...row,
      key: data.toString('utf8', key.start, key.end).replaceAll('\0', '\uFFFD'),
      data: data.subarray(start - bodyHead, end),
      part,
      whole: row,
    };
  });
}

/** Names a key of a topic. */
export const nameOfKey = ({ topic, key }: Pick<OutboxRow, 'topic' | 'key'>): string => `${topic} ${key}`;

/** Whether a time of PostgreSQL is one of JavaScript's: neither infinite nor past the year 275760. */
export function isTime(time: Date): boolean {
  return time instanceof Date && !Number.isNaN(time.getTime());
}

/** The header with the id of the row, by which a database knows its events again. */
export const rowHeader = 'outbox-id';

/**
 * The message of a row. Where the trace is sampled, it gets a span that starts at the time of the event.
 * @param isNumbered whether it gets the id of the row
 * @throws {PlatformError} ERR_OUTBOX_ROW where no message can be made of it
 */
export function toOutgoing(row: OutboxRow, isNumbered: boolean): Outgoing {
  const { key, event_id: id, traceparent: parent } = row;
  if (!isTime(row.created_at)) throw noMessage('its created_at is no time of an event');
  const headers = encodeHeaders({ id, type: row.type, source: row.source, subject: key, time: row.created_at });
  if (row.headers)
    for (const [name, value] of Object.entries(row.headers)) {
      if (!isHeader(value)) throw noMessage(`its header ${name} is no text`);
      headers[name] = value;
    }
  if (isNumbered) headers[rowHeader] = String(row.id);
  const span = isSampled(parent ?? undefined)
    ? startSpan(`publish ${row.topic}`, {
        kind: SpanKind.PRODUCER,
        parent: parent!,
        startTime: row.created_at,
        attributes: {
          'messaging.system': 'kafka',
          'messaging.operation.type': 'send',
          'messaging.destination.name': row.topic,
          'messaging.kafka.message.key': key,
          'messaging.message.id': id,
        },
      })
    : undefined;
  const traceparent = span ? traceparentOf(span) : parent;
  if (traceparent) headers['traceparent'] = traceparent;
  return { row, span, message: { key, value: row.data, headers } };
}

/** Whether Kafka's record format has a form for a member of `headers`, which the table takes whatever it is. */
function isHeader(value: unknown): boolean {
  return [value].flat().every((one) => one === null || typeof one === 'string');
}

const noMessage = (reason: string) =>
  new PlatformError('ERR_OUTBOX_ROW', `no message can be made of the row: ${reason}`);

/** The messages for one partition, in their order. */
export interface PartitionMessages {
  topic: string;
  partition: number;
  items: Outgoing[];
}

/** Groups messages by partition; each partition keeps the order of the rows. */
export function byPartition(items: readonly Outgoing[], partitions: readonly number[]): PartitionMessages[] {
  const batches = new Map<string, PartitionMessages>();
  items.forEach((item, i) => {
    const { topic } = item.row;
    const partition = partitions[i]!;
    const name = `${topic}/${partition}`;
    let batch = batches.get(name);
    if (!batch) batches.set(name, (batch = { topic, partition, items: [] }));
    batch.items.push(item);
  });
  return [...batches.values()];
}

/** Divides messages so that no part has more bytes of values than the limit; a larger message is a part of its own. */
export function cutByBytes<T extends { row: OutboxRow }>(items: readonly T[], maxBytes: number): T[][] {
  const parts: T[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const size = item.row.data.length;
    if (bytes + size > maxBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(item);
    bytes += size;
  }
  return parts;
}
