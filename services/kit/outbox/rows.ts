import { encodeHeaders } from '#contracts/cloudevents.ts';
import type { OutgoingMessage } from '../kafka/port.ts';
import { SpanKind, isSampled, startSpan, traceparentOf } from '../telemetry.ts';
import type { Span } from '../telemetry.ts';
import type { ReadPosition } from './cursor.ts';
import { packedType, unpack } from './pack.ts';

/** A row of the outbox as the relay reads it. */
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
}

/** An event of a row on its way: its message, and its span where the trace is recorded. */
export interface Outgoing {
  row: OutboxRow;
  message: OutgoingMessage;
  span: Span | undefined;
}

/** What one message is made from: a row, or an event of a row that is a pack. */
type Source = Pick<OutboxRow, 'key' | 'event_id' | 'data' | 'traceparent' | 'headers'>;

/** The messages of a row: one, or as many as its pack has. */
export function toOutgoing(row: OutboxRow): Outgoing[] {
  if (row.headers?.['content-type'] !== packedType) return [outgoingOf(row, row)];
  return unpack(row.data).map(({ key, eventId, data, traceparent = null }) =>
    outgoingOf(row, { key, event_id: eventId, data, traceparent, headers: null }),
  );
}

/** Under a sampled trace a message gets a span of its own, from the commit until it is published. */
function outgoingOf(row: OutboxRow, source: Source): Outgoing {
  const { key, event_id: id, data, traceparent: parent } = source;
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
  const headers = encodeHeaders({ id, type: row.type, source: row.source, subject: key, time: row.created_at });
  if (source.headers) Object.assign(headers, source.headers);
  const traceparent = span ? traceparentOf(span) : parent;
  if (traceparent) headers['traceparent'] = traceparent;
  return { row, span, message: { key, value: data, headers, timestamp: row.created_at.getTime() } };
}

/** What goes to one partition, in order. */
export interface PartitionBatch {
  topic: string;
  partition: number;
  items: Outgoing[];
}

/** Groups rows by the partition that they go to; the order within a partition is that of the rows. */
export function byPartition(items: readonly Outgoing[], partitions: readonly number[]): PartitionBatch[] {
  const batches = new Map<string, PartitionBatch>();
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

/** Cuts a batch so that no part has more bytes of values than the limit, except a message that alone is larger. */
export function cutByBytes(items: readonly Outgoing[], maxBytes: number): Outgoing[][] {
  const parts: Outgoing[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const size = item.message.value.length;
    if (bytes + size > maxBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(item);
    bytes += size;
  }
  return parts;
}
