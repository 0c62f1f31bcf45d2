import { JavaRandom } from './java-random.ts';

/** The events begin at 2026-01-01T00:00:00Z; their span is in milliseconds. */
const startMs = Date.UTC(2026, 0, 1);
const spanMs = 7_200_000;

const minuteMs = 60_000;

/** More orders in a minute are a spike; an order above this amount in cents has a high value. */
export const spikeOver = 10;
const highValueOverCents = 100_000;

/** An order as it is generated; amounts in cents. */
interface Order {
  orderId: number;
  userId: number;
  status: string;
  totalCents: number;
  /** milliseconds since 1970 */
  time: number;
  json: string;
}

/**
 * Orders of two items by 10,000 users over two hours, the same for the same `n`: about 400 bytes of JSON each. The Kafka
 * Streams figures in docs/streams.md used the same orders.
 */
export function* orders(n: number): Generator<Order> {
  const random = new JavaRandom(42);
  for (let i = 0; i < n; i++) {
    const userId = 1 + random.nextInt(10_000);
    const status = statusOf(random.nextInt(100));
    let totalCents = 0;
    const items: string[] = [];
    for (let k = 0; k < 2; k++) {
      const product = 100 + random.nextInt(900);
      const quantity = 1 + random.nextInt(4);
      const price = 199 + random.nextInt(39_800);
      totalCents += quantity * price;
      items.push(
        `{"productId":${product},"productName":"Product ${product}","quantity":${quantity},` +
          `"unitPrice":${money(price)},"totalPrice":${money(quantity * price)}}`,
      );
    }
    const orderId = i + 1;
    const time = startMs + Math.floor((i * spanMs) / n);
    const json =
      `{"orderId":${orderId},"userId":${userId},"createdAt":"${new Date(time).toISOString()}",` +
      `"totalAmount":${money(totalCents)},"status":"${status}","items":[${items.join(',')}],` +
      `"shippingAddress":"${(userId % 900) + 1} Main Street, City, Country","notes":"Deliver during office hours"}`;
    yield { orderId, userId, status, totalCents, time, json };
  }
}

function statusOf(percent: number): string {
  if (percent < 70) return 'PENDING';
  if (percent < 85) return 'CONFIRMED';
  if (percent < 93) return 'SHIPPED';
  return percent < 98 ? 'DELIVERED' : 'CANCELLED';
}

function money(cents: number): string {
  return `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;
}

/** The expected results of the queries: figures by `start/key` for windows; sums in cents. */
export interface Expected {
  byStatus: Map<string, number>;
  revenue: Map<string, number>;
  revenueByUser: Map<string, number>;
  highValue: { orders: number; cents: number };
  spikes: Map<string, number>;
}

/** Computes the windows of the same events directly: one event after the other, with whole numbers. */
export class BruteForce {
  readonly expected: Expected = {
    byStatus: new Map(),
    revenue: new Map(),
    revenueByUser: new Map(),
    highValue: { orders: 0, cents: 0 },
    spikes: new Map(),
  };
  readonly #perMinute = new Map<string, number>();

  add({ time, status, userId, totalCents }: Order): void {
    const { byStatus, revenue, revenueByUser, highValue, spikes } = this.expected;
    add(byStatus, `${startOf(time, 5)}/${status}`, 1);
    add(revenue, `${startOf(time, 10)}/all`, totalCents);
    add(revenueByUser, `${startOf(time, 60)}/${userId}`, totalCents);
    if (totalCents > highValueOverCents) {
      highValue.orders += 1;
      highValue.cents += totalCents;
    }
    const minute = `${startOf(time, 1)}/all`;
    const count = (this.#perMinute.get(minute) ?? 0) + 1;
    this.#perMinute.set(minute, count);
    if (count > spikeOver) spikes.set(minute, count);
  }
}

function startOf(time: number, minutes: number): number {
  return Math.floor(time / (minutes * minuteMs)) * minutes * minuteMs;
}

function add(sums: Map<string, number>, key: string, amount: number): void {
  sums.set(key, (sums.get(key) ?? 0) + amount);
}
