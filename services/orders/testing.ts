import assert from 'node:assert/strict';
import type { Pool } from 'pg';
import { encodeHeaders } from '#platform/contract';
import type { ReceivedEvent } from '#platform/contract';
import { decodeEvent } from '#contracts/index.ts';
import type { Order } from '#contracts/orders.ts';
import { Health } from '#platform/health';
import { createLogger } from '#platform/telemetry';
import { transaction } from '#platform/postgres';
import { createTestDatabase } from '#test/database.ts';
import { createOrdersApp } from './app.ts';
import type { OrdersApp } from './app.ts';
import type { Users } from './commands/handlers.ts';
import type { KnownUser } from './domain/order.ts';
import { processOrderEvents } from './projection/order-event-processor.ts';

export const log = createLogger('orders-test', 'silent');

/** Users 1 to 9, and no other. */
export const someUsers: Users = {
  find: (id) =>
    Promise.resolve<KnownUser | undefined>(
      id < 10 ? { username: `user${id}`, email: `user${id}@example.org` } : undefined,
    ),
};

export const lamp = { productId: 1, productName: 'Lamp', quantity: 2, unitPrice: 9.99, totalPrice: 19.98 };

export interface Answer {
  status: number;
  headers: Headers;
  // the test asserts the type
  body: Order & Order[] & Record<string, unknown>;
}

export type Send = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Answer>;

/** Sends JSON to a server. */
export function clientOf(origin: string): Send {
  return async (method, path, body, headers = {}) => {
    const response = await fetch(`${origin}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
}

export interface TestOrders {
  app: OrdersApp;
  send: Send;
  writePool: Pool;
  /** another pool of the write database, if the test has made the one of the commands */
  directPool: Pool;
  readPool: Pool;
  writeUrl: string;
  readUrl: string;
  /** places an order of one item and returns it */
  place(changes?: Record<string, unknown>, headers?: Record<string, string>): Promise<Order>;
  /** the events of the outbox, as a consumer gets them, oldest first */
  events(): Promise<ReceivedEvent[]>;
  /** projects the new events of the outbox */
  project(): Promise<void>;
}

/**
 * Orders with its own databases, on a free port, without Kafka.
 * @param connect makes the pool of the commands, from the address of the write database
 */
export async function startOrders(
  t: { after(close: () => Promise<void>): void },
  users = someUsers,
  connect?: (url: string) => Promise<Pool>,
) {
  const [write, read] = await Promise.all([createTestDatabase('orders'), createTestDatabase('orders-read')]);
  const writePool = (await connect?.(write.url)) ?? write.pool;
  const app = createOrdersApp({
    writePool,
    readPool: read.pool,
    users,
    health: new Health(),
    log,
    wakeRelay: () => undefined,
  });
  const port = await app.http.listen(0, '127.0.0.1');
  t.after(async () => {
    await app.http.close();
    if (writePool !== write.pool) await writePool.end();
    await Promise.all([write.drop(), read.drop()]);
  });
  const send = clientOf(`http://127.0.0.1:${port}`);
  let projected = 0n;
  const orders: TestOrders = {
    app,
    send,
    writePool,
    directPool: write.pool,
    readPool: read.pool,
    writeUrl: write.url,
    readUrl: read.url,
    async place(changes = {}, headers = {}) {
      const answer = await send('POST', '/orders', { userId: 1, items: [lamp], ...changes }, headers);
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      return answer.body;
    },
    events: () => outboxEvents(write.pool),
    async project() {
      const events = await outboxEvents(write.pool, projected);
      projected = events.at(-1)?.offset ?? projected;
      await transaction(read.pool, (tx) => processOrderEvents(tx, events));
    },
  };
  return orders;
}

interface OutboxRow {
  id: string;
  topic: string;
  key: string;
  event_id: string;
  type: string;
  source: string;
  data: Buffer;
  created_at: Date;
  traceparent: string | null;
}

async function outboxEvents(pool: Pool, after = 0n): Promise<ReceivedEvent[]> {
  const { rows } = await pool.query<OutboxRow>('SELECT * FROM outbox WHERE id > $1 ORDER BY id', [after]);
  return rows.map((row) =>
    decodeEvent({
      topic: row.topic,
      partition: Number(row.key) % 6,
      offset: BigInt(row.id),
      key: row.key,
      value: row.data,
      headers: encodeHeaders({
        id: row.event_id,
        type: row.type,
        source: row.source,
        subject: row.key,
        time: row.created_at,
        traceparent: row.traceparent ?? undefined,
      }),
    }),
  );
}

/** A `user.created` as a consumer gets it. */
export function userCreated(id: number, username: string, version = 1): ReceivedEvent {
  const time = new Date().toISOString();
  const email = `${id}@example.org`;
  const names = { firstName: 'F', lastName: 'L', status: 'ACTIVE', createdAt: time, updatedAt: time };
  return {
    id: `user-${id}-${version}`,
    type: version === 1 ? 'user.created' : 'user.updated',
    source: '/users',
    subject: String(id),
    time: Date.now(),
    data: { userId: id, username, email, version, ...names },
    topic: 'user-events',
    partition: id % 6,
    offset: BigInt(id),
    key: String(id),
    traceparent: undefined,
  };
}
