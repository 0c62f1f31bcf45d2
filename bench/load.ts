import autocannon from 'autocannon';

export interface LoadResult {
  perSecond: number;
  p50: number;
  p99: number;
  max: number;
  accepted: number;
  errors: number;
}

/** A pseudo-random sequence from a seed (mulberry32), so that a run can be repeated. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** An order of one to three items, as JSON. */
export function orderBody(random: () => number, userIds: readonly number[]): string {
  const pick = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const items = Array.from({ length: pick(1, 3) }, () => {
    const productId = pick(100, 999);
    const quantity = pick(1, 4);
    const cents = pick(199, 39_999);
    return {
      productId,
      productName: `Product ${productId}`,
      quantity,
      unitPrice: cents / 100,
      totalPrice: (quantity * cents) / 100,
    };
  });
  const userId = userIds[pick(0, userIds.length - 1)];
  return JSON.stringify({ userId, items, shippingAddress: `${pick(1, 900)} Main Street, City`, notes: null });
}

export interface LoadOptions {
  url: string;
  connections: number;
  seconds: number;
  bodies: readonly string[];
}

/** Posts JSON bodies in turn from `connections` for `seconds`. Latencies are milliseconds. */
export async function load({ url, connections, seconds, bodies }: LoadOptions): Promise<LoadResult> {
  const { pathname } = new URL(url);
  const result = await autocannon({
    url: new URL(url).origin,
    connections,
    duration: seconds,
    timeout: 10,
    requests: bodies.map((body) => ({
      method: 'POST' as const,
      path: pathname,
      headers: { 'content-type': 'application/json' },
      body,
    })),
  });
  return {
    perSecond: result['2xx'] / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    max: result.latency.max,
    accepted: result['2xx'],
    errors: result.errors + result.timeouts + result.non2xx,
  };
}

/** The median and the 99th percentile of a list. */
export function percentiles(values: readonly number[]): { median: number; p99: number; max: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { median: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}
