import * as fc from 'fast-check';
import type { ReceivedEvent } from '#contracts/cloudevents.ts';
import { parseQuery } from './query/parse.ts';
import type { StreamQuery } from './query/stream-query.ts';

/** The query of a spec in YAML, as its file would say it. */
export function queryOf(name: string, spec: string): StreamQuery {
  const head = `apiVersion: millrace.dev/v1alpha1\nkind: StreamQuery\nmetadata: { name: ${name} }\nspec:\n`;
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

interface OrderData {
  userId: number;
  status: string;
  totalAmount: number;
}

/** A query said twice: in its own language, and in plain functions for the oracle. */
export interface OracleQuery {
  query: StreamQuery;
  where: (data: OrderData) => boolean;
  key: (data: OrderData) => string;
  size: number;
  advance: number;
  grace: number;
}

const select = `select:
  - { name: orders, count: true }
  - { name: revenue, sum: data.totalAmount }
  - { name: average, avg: data.totalAmount, scale: 2 }
  - { name: least, min: data.totalAmount }
  - { name: most, max: data.totalAmount }
`;

/** Queries of each kind over order.created, with graces short enough for events to be late. */
export const oracleQueries: OracleQuery[] = [
  {
    query: queryOf(
      'tumbling',
      `from: [{ topic: order-events, types: [order.created] }]
keyBy: data.status
window: { tumbling: 10s, grace: 5s }
${select}`,
    ),
    where: () => true,
    key: ({ status }) => status,
    size: 10_000,
    advance: 10_000,
    grace: 5_000,
  },
  {
    query: queryOf(
      'hopping',
      `from: [{ topic: order-events, types: [order.created] }]
where: data.totalAmount > 20.0 && data.status != "CANCELLED"
keyBy: string(data.userId)
window: { hopping: { size: 20s, advance: 5s }, grace: 0s }
${select}`,
    ),
    where: ({ totalAmount, status }) => totalAmount > 20 && status !== 'CANCELLED',
    key: ({ userId }) => String(userId),
    size: 20_000,
    advance: 5_000,
    grace: 0,
  },
  {
    query: queryOf(
      'everything',
      `from: [{ topic: order-events, types: [order.created] }]
window: { tumbling: 1m, grace: 1d }
${select}`,
    ),
    where: () => true,
    key: () => 'all',
    size: 60_000,
    advance: 60_000,
    grace: 86_400_000,
  },
];

/** Random streams: several partitions, times that jump about, amounts to the cent. Offsets count in each partition. */
export const orderStreams: fc.Arbitrary<ReceivedEvent[]> = fc
  .array(
    fc.record({
      partition: fc.nat(2),
      time: fc.nat(120_000).map((ms) => start + ms),
      userId: fc.integer({ min: 1, max: 4 }),
      status: fc.constantFrom('PENDING', 'CONFIRMED', 'CANCELLED'),
      total: fc
        .oneof(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 5e15 }))
        .map((cents) => cents / 100),
      type: fc.constantFrom('order.created', 'order.created', 'order.created', 'order.deleted'),
    }),
    { maxLength: 120 },
  )
  .map((drafts) => {
    const offsets = new Map<number, number>();
    return drafts.map((draft, i) => {
      const offset = offsets.get(draft.partition) ?? 0;
      offsets.set(draft.partition, offset + 1);
      return orderEvent({ ...draft, id: i + 1, offset });
    });
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

/** The windows of a query by `key@start`, with the figures that it selects; computed the slow and obvious way. */
export function oracle(
  { query, where, key, size, advance, grace }: OracleQuery,
  events: readonly ReceivedEvent[],
): { windows: Map<string, Record<string, number | string>>; late: number; matched: number } {
  const streamTime = new Map<number, number>();
  const amounts = new Map<string, bigint[]>();
  let late = 0;
  let matched = 0;
  for (const event of events) {
    const now = Math.max(streamTime.get(event.partition) ?? 0, event.time);
    streamTime.set(event.partition, now);
    const data = event.data as OrderData;
    if (event.type !== 'order.created' || !where(data)) continue;
    let missed = 0;
    let counted = 0;
    for (let from = 0; from < size; from += advance) {
      const windowStart = Math.floor(event.time / advance) * advance - from;
      if (event.time >= windowStart + size) continue;
      if (windowStart + size + grace <= now) {
        missed += 1;
        continue;
      }
      counted += 1;
      const name = `${key(data)}@${windowStart}`;
      amounts.set(name, [...(amounts.get(name) ?? []), BigInt(data.totalAmount.toFixed(2).replace('.', ''))]);
    }
    if (missed > 0) late += 1;
    if (counted > 0) matched += 1;
  }
  const windows = [...amounts].map(([name, cents]) => {
    const sum = cents.reduce((a, b) => a + b, 0n);
    const count = BigInt(cents.length);
    const sorted = cents.toSorted((a, b) => Number(a - b));
    const figures = {
      orders: cents.length,
      revenue: money(sum),
      average: money((2n * sum + count) / (2n * count)),
      least: money(sorted[0]!),
      most: money(sorted.at(-1)!),
    };
    return [name, figures] as const;
  });
  if (query.select.length !== 5) throw new Error('the oracle knows five figures');
  return { windows: new Map(windows), late, matched };
}

/** Cents as the JSON that stands for exactly that amount. */
function money(cents: bigint): number | string {
  const text = `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`.replace(/\.?0+$/, '');
  return String(Number(text)) === text ? Number(text) : text;
}
