import type { ReceivedEvent } from '#platform/contract';
import { HyperLogLog } from '#streams/engine/hyperloglog.ts';
import type { StreamQuery } from '#streams/language';
import { queryOf } from './support.ts';

interface OrderData {
  orderId: number;
  userId: number;
  status: string;
  totalAmount: number;
  createdAt: string;
}

/** Windows in plain numbers, in milliseconds. */
type OracleWindow = { size: number; advance: number; grace: number } | { gap: number; grace: number };

/** A query said twice: in its own language, and in plain functions for the oracle. */
export interface OracleQuery {
  query: StreamQuery;
  where: (data: OrderData) => boolean;
  key: (data: OrderData) => string;
  window: OracleWindow;
  /** of queries with a clock of their own; else when the event happened */
  time?: (data: OrderData) => number;
}

const select = `select:
  - { name: orders, count: true }
  - { name: revenue, sum: data.totalAmount }
  - { name: average, avg: data.totalAmount, scale: 2 }
  - { name: least, min: data.totalAmount }
  - { name: most, max: data.totalAmount }
  - { name: users, distinct: string(data.userId) }
  - { name: different, distinct: string(data.orderId), exactUpTo: 4 }
`;

const byUser = { spec: 'keyBy: string(data.userId)', key: ({ userId }: OrderData) => String(userId) };
const byStatus = { spec: 'keyBy: data.status', key: ({ status }: OrderData) => status };

/** Queries of each kind over order.created, with graces short enough for events to be late. */
const kinds: (Omit<OracleQuery, 'query'> & { name: string; spec: string })[] = [
  {
    name: 'tumbling',
    spec: byStatus.spec,
    where: () => true,
    key: byStatus.key,
    window: { size: 10_000, advance: 10_000, grace: 5_000 },
  },
  {
    name: 'hopping',
    spec: `where: data.totalAmount > 20.0 && data.status != "CANCELLED"\n${byUser.spec}`,
    where: ({ totalAmount, status }) => totalAmount > 20 && status !== 'CANCELLED',
    key: byUser.key,
    window: { size: 20_000, advance: 5_000, grace: 0 },
  },
  {
    name: 'everything',
    spec: '',
    where: () => true,
    key: () => 'all',
    window: { size: 60_000, advance: 60_000, grace: 86_400_000 },
  },
  {
    name: 'sessions',
    spec: byUser.spec,
    where: () => true,
    key: byUser.key,
    window: { gap: 3_000, grace: 86_400_000 },
  },
  {
    name: 'short-sessions',
    spec: byStatus.spec,
    where: () => true,
    key: byStatus.key,
    window: { gap: 2_000, grace: 1_000 },
  },
  {
    name: 'by-creation',
    spec: `${byUser.spec}
timestamp: timestamp(data.createdAt)
where: data.status != "PENDING"`,
    where: ({ status }) => status !== 'PENDING',
    key: byUser.key,
    window: { size: 15_000, advance: 15_000, grace: 2_000 },
    time: ({ createdAt }) => Date.parse(createdAt),
  },
];

export interface OracleOptions {
  /** whether windows are forgotten as soon as no event that is in time can change them; default: they are kept for 7 days */
  isBrief?: boolean;
}

/** A definition of the query with this name, one per kind. @param kind from 0 */
export function oracleQueryOf(name: string, kind: number, emission: string, options?: OracleOptions): OracleQuery {
  const { spec, where, key, window, time } = kinds[kind % kinds.length]!;
  return { query: queryOf(name, specOf(spec, window, emission, options)), where, key, window, ...(time && { time }) };
}

function specOf(spec: string, window: OracleWindow, emission: string, options: OracleOptions = {}): string {
  const from = 'from: [{ topic: order-events, types: [order.created] }]';
  return `${from}\n${spec}\nwindow: ${windowSpec(window, options)}\n${select}${emission}`;
}

function windowSpec(window: OracleWindow, { isBrief = false }: OracleOptions): string {
  const kind =
    'gap' in window
      ? `session: ${window.gap}ms`
      : window.advance === window.size
        ? `tumbling: ${window.size}ms`
        : `hopping: { size: ${window.size}ms, advance: ${window.advance}ms }`;
  const retention = isBrief ? `, retention: ${opensFor(window)}ms` : '';
  return `{ ${kind}, grace: ${window.grace}ms${retention} }`;
}

/** How long after its end a window takes events that are in time, in milliseconds. */
function opensFor(window: OracleWindow): number {
  return window.grace + ('gap' in window ? window.gap : 0);
}

/** The queries, with what they emit. @param suffix of their names */
export function oracleQueriesThat(suffix: string, emission: string, options?: OracleOptions): OracleQuery[] {
  return kinds.map(({ name, spec, window, ...plain }) => ({
    query: queryOf(`${name}${suffix}`, specOf(spec, window, emission, options)),
    window,
    ...plain,
  }));
}

export const oracleQueries = oracleQueriesThat('', '');

interface Counted {
  key: string;
  start: number;
  end: number;
  data: OrderData[];
}

/** The name of a window in what the oracle says. */
export function windowName(key: string, start: number, end: number): string {
  return `${key}@${start}-${end}`;
}

/** The windows of a query by name, with the aggregates that it selects; computed the slow and obvious way. */
export function oracle(
  { where, key, window, time }: OracleQuery,
  events: readonly ReceivedEvent[],
): { windows: Map<string, Record<string, number | string>>; late: number; matched: number } {
  const streamTime = new Map<number, number>();
  const seen = new Set<string>();
  const counted: { event: ReceivedEvent; start: number; end: number }[] = [];
  let late = 0;
  let matched = 0;
  for (const event of events) {
    if (seen.has(event.id)) continue;
    seen.add(event.id);
    const isRead = event.type === 'order.created';
    const own = time ? time(event.data as OrderData) : event.time;
    const now = Math.max(streamTime.get(event.partition) ?? 0, isRead || !time ? own : 0);
    streamTime.set(event.partition, now);
    if (!isRead || !where(event.data as OrderData)) continue;
    const all = spansOf(window, own);
    const open = all.filter(({ end }) => end + window.grace > now);
    if (open.length < all.length) late += 1;
    if (open.length > 0) matched += 1;
    counted.push(...open.map((span) => ({ event, ...span })));
  }
  const windows = new Map<string, Counted>();
  for (const one of counted) {
    const data = one.event.data as OrderData;
    const { start, end } = 'gap' in window ? sessionOf(one, counted, key) : one;
    const name = windowName(key(data), start, end);
    const whole = windows.get(name) ?? { key: key(data), start, end, data: [] };
    whole.data.push(data);
    windows.set(name, whole);
  }
  return { windows: new Map([...windows].map(([name, { data }]) => [name, aggregatesOf(data)])), late, matched };
}

/** The time up to which events are complete for a query when all have been read: that of the partition that is least far. */
function queryWatermark({ time }: OracleQuery, events: readonly ReceivedEvent[]): number {
  const read = time ? events.filter(({ type }) => type === 'order.created') : events;
  const partitions = [...Map.groupBy(read, ({ partition }) => partition).values()];
  const timeOf = (event: ReceivedEvent) => (time ? time(event.data as OrderData) : event.time);
  return Math.min(...partitions.map((own) => Math.max(...own.map(timeOf))));
}

/**
 * The windows of a query when all events have been read: those that none can change any more, which are closed and may be
 * forgotten, and the others.
 */
export function overAndOpen(query: OracleQuery, events: readonly ReceivedEvent[]) {
  const complete = queryWatermark(query, events);
  const isOver = (name: string) => Number(name.split('-').at(-1)) + opensFor(query.window) <= complete;
  const { over = [], open = [] } = Object.groupBy(oracle(query, events).windows, ([name]) =>
    isOver(name) ? 'over' : 'open',
  );
  return { over: new Map(over), open: new Map(open) };
}

function spansOf(window: OracleWindow, time: number): { start: number; end: number }[] {
  if ('gap' in window) return [{ start: time, end: time + window.gap }];
  const { size, advance } = window;
  const spans = [];
  for (let start = Math.floor(time / advance) * advance; start + size > time; start -= advance) {
    spans.push({ start, end: start + size });
  }
  return spans;
}

/** Grows an event's own session by what touches it until nothing does. */
function sessionOf(
  one: { event: ReceivedEvent; start: number; end: number },
  counted: readonly { event: ReceivedEvent; start: number; end: number }[],
  key: OracleQuery['key'],
): { start: number; end: number } {
  const own = key(one.event.data as OrderData);
  const others = counted.filter(({ event }) => key(event.data as OrderData) === own);
  let { start, end } = one;
  for (let grown = true; grown;) {
    grown = false;
    for (const other of others) {
      if (other.start > end || other.end < start || (other.start >= start && other.end <= end)) continue;
      start = Math.min(start, other.start);
      end = Math.max(end, other.end);
      grown = true;
    }
  }
  return { start, end };
}

function aggregatesOf(data: readonly OrderData[]): Record<string, number | string> {
  const cents = data.map(({ totalAmount }) => BigInt(totalAmount.toFixed(2).replace('.', '')));
  const sum = cents.reduce((a, b) => a + b, 0n);
  const count = BigInt(cents.length);
  const sorted = cents.toSorted((a, b) => Number(a - b));
  return {
    orders: cents.length,
    revenue: money(sum),
    average: money((2n * sum + count) / (2n * count)),
    least: money(sorted[0]!),
    most: money(sorted.at(-1)!),
    users: new Set(data.map(({ userId }) => userId)).size,
    different: distinct(data.map(({ orderId }) => String(orderId))),
  };
}

/** As the language promises: exact up to the bound, else what a sketch of all texts says, and more than the bound. */
function distinct(texts: readonly string[]): number {
  const sketch = new HyperLogLog();
  for (const text of texts) sketch.add(text);
  const size = new Set(texts).size;
  return size <= 4 ? size : Math.max(5, sketch.estimate());
}

/** Cents as the JSON that stands for exactly that amount. */
function money(cents: bigint): number | string {
  const text = `${cents / 100n}.${String(cents % 100n).padStart(2, '0')}`.replace(/\.?0+$/, '');
  return String(Number(text)) === text ? Number(text) : text;
}
