import * as fc from 'fast-check';
import type { ReceivedEvent } from '#platform/contract';
import { parseQuery } from '#streams/language';
import type { StreamQuery } from '#streams/language';

/** The query of a spec in YAML, as its file would say it. */
export function queryOf(name: string, spec: string): StreamQuery {
  const head = `apiVersion: millrace.dev/v1beta1\nkind: StreamQuery\nmetadata: { name: ${name} }\nspec:\n`;
  const { query, faults } = parseQuery(`${name}.yaml`, `${head}${spec.replace(/^/gm, '  ')}`);
  if (!query) throw new Error(JSON.stringify(faults));
  return query;
}

/** 2026-01-01T00:00:00Z */
export const start = Date.UTC(2026, 0, 1);

export interface OrderEventOptions {
  id: number;
  type?: string;
  time?: number;
  userId?: number;
  status?: string;
  previousStatus?: string;
  /** an amount of money */
  total?: number;
  createdAt?: number;
  topic?: string;
  partition?: number;
  offset?: number;
  traceparent?: string;
}

/** An event of order-events as the inbox hands it over. */
export function orderEvent(options: OrderEventOptions): ReceivedEvent {
  const { id, type = 'order.created', time = start, userId = 1, status = 'PENDING', total = 10, traceparent } = options;
  const { topic = 'order-events', partition = 0, offset = id, createdAt = time, previousStatus } = options;
  const createdIso = new Date(createdAt).toISOString();
  const data = {
    orderId: id,
    userId,
    status,
    totalAmount: total,
    createdAt: createdIso,
    ...(previousStatus && { previousStatus }),
  };
  return {
    id: `order-${id}-1`,
    type,
    source: '/orders',
    subject: String(id),
    time,
    data,
    topic,
    partition,
    offset: BigInt(offset),
    key: String(id),
    traceparent,
  };
}

/** How many cases of a property are tried: `npm run test:streams` tries many more of them. */
export function runs(short: number, long: number): number {
  return process.env['STREAMS_LONG'] === '1' ? long : short;
}

/** Times that jump about; whole seconds among them, so that windows and gaps end exactly where an event is. */
const jumpingTime = fc.oneof(
  fc.nat(120_000),
  fc.nat(120).map((seconds) => seconds * 1000),
);

const draft = {
  partition: fc.nat(2),
  jump: jumpingTime,
  userId: fc.integer({ min: 1, max: 4 }),
  status: fc.constantFrom('PENDING', 'CONFIRMED', 'CANCELLED'),
  total: fc.oneof(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 5e15 })).map((cents) => cents / 100),
  type: fc.constantFrom('order.created', 'order.created', 'order.created', 'order.deleted'),
  /** by how much the event happened after what it tells of */
  delay: fc.constantFrom(0, 0, 1_000, 20_000),
  /** which of the events before it comes again in its place, if any */
  repeats: fc.option(fc.nat(20), { freq: 8, nil: undefined }),
};

/**
 * Random streams: several partitions, amounts to the cent, times that jump about or go on with stragglers, events that come
 * twice. Offsets count in each partition.
 */
export const orderStreams: fc.Arbitrary<ReceivedEvent[]> = fc
  .record({
    drafts: fc.array(fc.record(draft), { maxLength: 120 }),
    // how far time goes on from event to event, and how much of the jump is left
    pace: fc.constantFrom([0, 1], [500, 0.05], [1_000, 0.2], [4_000, 0.1]),
  })
  .map(({ drafts, pace: [step, jumping] }) => {
    const offsets = new Map<number, number>();
    const events: ReceivedEvent[] = [];
    for (const [i, { jump, repeats, delay, ...rest }] of drafts.entries()) {
      const before = repeats === undefined ? undefined : events[events.length - 1 - repeats];
      const time = start + i * step! + Math.round(jump * jumping!);
      const event = before ?? orderEvent({ ...rest, time, createdAt: time - delay, id: i + 1 });
      const offset = offsets.get(event.partition) ?? 0;
      offsets.set(event.partition, offset + 1);
      events.push({ ...event, offset: BigInt(offset) });
    }
    return events;
  });

/** Cuts a list into consecutive parts, none of them empty. */
export function cut<T>(items: readonly T[], sizes: readonly number[]): T[][] {
  const parts: T[][] = [];
  let rest = [...items];
  for (let i = 0; rest.length > 0; i++) {
    const size = sizes.length > 0 ? sizes[i % sizes.length]! : rest.length;
    parts.push(rest.slice(0, size));
    rest = rest.slice(size);
  }
  return parts;
}

/** The fields of an order's event in the live stream of tests. */
export const orderFeed = {
  kind: 'order',
  itemOf: ({ type, time, data }: ReceivedEvent) => {
    const { orderId, userId, status, previousStatus, totalAmount } = data as Record<string, unknown>;
    return JSON.stringify({ type, orderId, userId, status, previousStatus, totalAmount, time: new Date(time) });
  },
};
