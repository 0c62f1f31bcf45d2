import { randomUUID } from 'node:crypto';
import { PlatformError } from '#platform/errors';
import { murmur2, RecordWriter } from '#platform/kafka';
import type { OutboxEvent } from './write.ts';
import { written } from './written.ts';

/** The content type of a row of the outbox whose data is several messages of one topic, written as Kafka's log has them. */
export const packedType = 'application/vnd.millrace.packed';

/** An event in a pack. */
export interface PackedEvent {
  key: string;
  eventId: string;
  /** JSON text */
  data: string;
  traceparent?: string | undefined;
}

/** What the events of a pack have in common. */
export interface PackHead {
  topic: string;
  type: string;
  source: string;
}

/** Events of a key go to one of so many packs, each with a key of its own, so that the relay keeps their order. */
const lanes = 4;
/** bytes of a pack behind which another one begins */
const fullAt = 512 * 1024;

/**
 * Gathers events that are written together, for producers of many small ones: a row of the outbox costs PostgreSQL far
 * more than the bytes of an event, and so does a message that is taken apart and put together again on its way. A pack has
 * the bodies of Kafka's records (key, value, headers), each behind its length; the relay only says where they go.
 */
export class Packer {
  readonly #head: PackHead;
  readonly #template: ReturnType<typeof templateOf>;
  readonly #lanes = Array.from({ length: lanes }, () => new RecordWriter(undefined, fullAt + 16 * 1024));
  readonly #full: OutboxEvent[] = [];
  readonly #key = new RecordWriter();

  constructor(head: PackHead) {
    this.#head = head;
    this.#template = templateOf(head);
  }

  add({ key, eventId, traceparent, data }: PackedEvent): void {
    this.#key.length = 0;
    this.#key.text(key);
    const keyBytes = this.#key.bytes;
    const number = murmur2(keyBytes) & (lanes - 1);
    const lane = this.#lanes[number]!;
    const { common, subject, time, parent } = this.#template;
    const lengthAt = lane.skipUint32();
    lane.copy(keyBytes);
    lane.text(data);
    lane.varint(traceparent === undefined ? 7 : 8);
    lane.copy(common);
    lane.text(eventId);
    lane.copy(subject);
    lane.copy(keyBytes);
    lane.copy(time);
    lane.text(now());
    if (traceparent !== undefined) {
      lane.copy(parent);
      lane.text(traceparent);
    }
    lane.setUint32(lengthAt, lane.length - lengthAt - 4);
    if (lane.length >= fullAt) this.#close(number);
  }

  /** The rows, in the order in which they are to be written. */
  finish(): OutboxEvent[] {
    for (let number = 0; number < lanes; number++) this.#close(number);
    return this.#full;
  }

  #close(number: number): void {
    const data = this.#lanes[number]!.take();
    if (data.length === 0) return;
    const headers = { 'content-type': packedType };
    const eventId = randomUUID();
    written.keep(eventId, data);
    this.#full.push({ ...this.#head, key: `pack-${number}`, eventId, data, headers });
  }
}

/** The headers of a CloudEvent as bytes: those that all events share, with the name of the one that follows. */
function templateOf({ type, source }: PackHead) {
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

/** Where the bodies of a pack's records begin and end. @throws RangeError where it is cut off */
export function* bodiesOf(data: Buffer): Generator<{ start: number; end: number }> {
  for (let at = 0; at < data.length;) {
    const start = at + 4;
    at = start > data.length ? start : start + data.readUInt32BE(at);
    if (at > data.length) throw new PlatformError('ERR_OUTBOX_PACK', 'a pack of events is cut off');
    yield { start, end: at };
  }
}
