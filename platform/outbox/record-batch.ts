import { randomUUID } from 'node:crypto';
import { PlatformError } from '#platform/errors';
import { murmur2, RecordWriter } from '#platform/kafka';
import type { RawRecord } from '#platform/kafka';
import type { OutboxEvent } from './write.ts';
import { payloadCache } from './payload-cache.ts';

/** The content type of a row of the outbox that holds several messages of one topic, in the record format of Kafka's log. */
export const recordBatchType = 'application/vnd.millrace.packed';

/** An event of a record batch. */
export interface BatchedEvent {
  key: string;
  eventId: string;
  /** JSON text */
  data: string;
  traceparent?: string | undefined;
}

/** The attributes that all events of a record batch share. */
export interface BatchHead {
  topic: string;
  type: string;
  source: string;
}

/** How many batches are open. All events of a key go to the same one, whose row has a key, so that their order is kept. */
const openBatches = 4;
/** a batch of this many bytes is full */
const fullAt = 512 * 1024;

/**
 * Builds rows that hold many small events each. A row of the outbox costs PostgreSQL far more than the bytes of an event,
 * and decoding and encoding every message in the relay costs as much. A record batch has the bodies of Kafka's records (key,
 * value, headers), each after its length; the relay only decides their partitions.
 */
export class RecordBatchBuilder {
  readonly #head: BatchHead;
  readonly #template: ReturnType<typeof templateOf>;
  readonly #writers = Array.from({ length: openBatches }, () => new RecordWriter(undefined, fullAt + 16 * 1024));
  readonly #full: OutboxEvent[] = [];
  readonly #key = new RecordWriter();

  constructor(head: BatchHead) {
    this.#head = head;
    this.#template = templateOf(head);
  }

  add({ key, eventId, traceparent, data }: BatchedEvent): void {
    this.#key.length = 0;
    this.#key.text(key);
    const keyBytes = this.#key.bytes;
    const number = murmur2(keyBytes) & (openBatches - 1);
    const writer = this.#writers[number]!;
    const { common, subject, time, parent } = this.#template;
    const lengthAt = writer.skip(4);
    writer.copy(keyBytes);
    writer.text(data);
    writer.varint(traceparent === undefined ? 7 : 8);
    writer.copy(common);
    writer.text(eventId);
    writer.copy(subject);
    writer.copy(keyBytes);
    writer.copy(time);
    writer.text(now());
    if (traceparent !== undefined) {
      writer.copy(parent);
      writer.text(traceparent);
    }
    writer.setInt32(lengthAt, writer.length - lengthAt - 4);
    if (writer.length >= fullAt) this.#close(number);
  }

  /** The rows, in the order in which they have to be written. */
  finish(): OutboxEvent[] {
    for (let number = 0; number < openBatches; number++) this.#close(number);
    return this.#full;
  }

  #close(number: number): void {
    const data = this.#writers[number]!.take();
    if (data.length === 0) return;
    const headers = { 'content-type': recordBatchType };
    const eventId = randomUUID();
    payloadCache.add(eventId, data);
    this.#full.push({ ...this.#head, key: `pack-${number}`, eventId, data, headers });
  }
}

/** A row that holds one record as it is: its key can be null or no text, and its headers can repeat. */
export function rawRecordEvent(
  event: Omit<OutboxEvent, 'data' | 'headers'>,
  { key, value, headers }: Pick<RawRecord, 'key' | 'value' | 'headers'>,
): OutboxEvent {
  const writer = new RecordWriter((value?.length ?? 0) + 4 * 1024);
  writer.skip(4);
  writer.field(key);
  writer.field(value);
  writer.varint(headers.length);
  for (const header of headers) for (const part of header) writer.field(part);
  writer.setInt32(0, writer.length - 4);
  return { ...event, data: writer.take(), headers: { 'content-type': recordBatchType } };
}

/** The encoded headers of a CloudEvent: those that all events share, each part with the name of the header that follows. */
function templateOf({ type, source }: BatchHead) {
  const bytes = (...texts: string[]) => {
    const writer = new RecordWriter();
    for (const text of texts) writer.text(text);
    return writer.take();
  };
  const fixed = ['ce_specversion', '1.0', 'ce_type', type, 'ce_source', source, 'content-type', 'application/json'];
  return {
    common: bytes(...fixed, 'ce_id'),
    subject: bytes('ce_subject'),
    time: bytes('ce_time'),
    parent: bytes('traceparent'),
  };
}

let lastTime = { ms: 0, text: '' };

function now(): string {
  const ms = Date.now();
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

/** The bytes before a record body: its length. */
export const bodyHead = 4;

/** The byte ranges of the record bodies in a record batch. @throws where the batch is truncated or empty */
export function* recordBodies(data: Buffer): Generator<{ start: number; end: number }> {
  if (data.length === 0) throw new PlatformError('ERR_OUTBOX_PACK', 'the record batch is empty');
  for (let at = 0; at < data.length;) {
    const start = at + bodyHead;
    at = start > data.length ? start : start + data.readUInt32BE(at);
    if (at > data.length) throw new PlatformError('ERR_OUTBOX_PACK', 'the record batch is truncated');
    yield { start, end: at };
  }
}
