import { murmur2 } from '../kafka/partitioning.ts';
import type { OutboxEvent } from './write.ts';

/** The content type of a row of the outbox whose data is several events of one topic, type and source. */
export const packedType = 'application/vnd.millrace.packed';

/** An event in a pack. */
export interface PackedEvent {
  key: string;
  eventId: string;
  /** JSON text, or its bytes */
  data: string | Buffer;
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
 * more than the bytes of an event. The relay publishes each of them as a message of its own.
 */
export class Packer {
  readonly #head: PackHead;
  readonly #lanes = Array.from({ length: lanes }, () => new Lane());
  readonly #full: OutboxEvent[] = [];

  constructor(head: PackHead) {
    this.#head = head;
  }

  add({ key, eventId, traceparent = '', data }: PackedEvent): void {
    const number = murmur2(Buffer.from(key)) & (lanes - 1);
    const lane = this.#lanes[number]!;
    lane.put(key);
    lane.put(eventId);
    lane.put(traceparent);
    lane.put(data);
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
    this.#full.push({
      ...this.#head,
      key: `pack-${number}`,
      eventId: '',
      data,
      headers: { 'content-type': packedType },
    });
  }
}

const firstSize = 16 * 1024;

/** Fields one behind the other, each behind its length in four bytes. */
class Lane {
  length = 0;
  #buffer: Buffer = Buffer.alloc(0);

  put(field: string | Buffer): void {
    const { length } = this;
    this.#reserve(length + 4 + (typeof field === 'string' ? field.length * 3 : field.length));
    const at = length + 4;
    const written = typeof field === 'string' ? this.#buffer.write(field, at) : field.copy(this.#buffer, at);
    this.#buffer.writeUInt32BE(written, length);
    this.length = at + written;
  }

  /** Hands out what there is, and begins anew. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.length);
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
    return taken;
  }

  #reserve(size: number): void {
    if (size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(firstSize, 2 * this.#buffer.length, size));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}

/** The events of a pack, in order; each `data` is a part of the bytes given. @throws RangeError where it is cut off */
export function unpack(data: Buffer): (PackedEvent & { data: Buffer })[] {
  const events: (PackedEvent & { data: Buffer })[] = [];
  let at = 0;
  const next = () => {
    const start = at + 4;
    at = start + data.readUInt32BE(at);
    if (at > data.length) throw new RangeError('a pack of events is cut off');
    return start;
  };
  const text = () => data.toString('utf8', next(), at);
  while (at < data.length) {
    events.push({ key: text(), eventId: text(), traceparent: text() || undefined, data: data.subarray(next(), at) });
  }
  return events;
}
