import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { Order } from '#contracts/orders.ts';
import type { User } from '#contracts/users.ts';

/** In-memory services for the pages: these tests cover only the pages, and need each state at once. */
export interface Stand {
  url: string;
  /** the responses to the next requests of a path with this prefix, instead of the data */
  broken: Map<string, number>;
  users: User[];
  orders: Order[];
  alerts: Record<string, unknown>[];
  notifications: Record<string, unknown>[];
  streams: Record<string, unknown>[];
  revenue: Record<string, unknown>[];
  dashboard: Record<string, unknown>;
  /** the received requests, such as `POST /orders` */
  seen: string[];
  push(type: string, data: unknown): void;
  endStreams(): void;
  close(): Promise<void>;
}

export async function startStand(): Promise<Stand> {
  const streams = new Set<ServerResponse>();
  let lastId = 0;
  const stand: Omit<Stand, 'url' | 'close'> = {
    broken: new Map(),
    users: [],
    orders: [],
    alerts: [],
    notifications: [],
    streams: [],
    revenue: [],
    dashboard: emptyDashboard(),
    seen: [],
    push(type, data) {
      lastId += 1;
      for (const stream of streams) stream.write(`id: ${lastId}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    },
    endStreams() {
      for (const stream of streams) stream.end();
    },
  };
  const server: Server = createServer((request, response) => void answer(stand, streams, request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(stand, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  });
}

function emptyDashboard() {
  const updatedAt = new Date().toISOString();
  return { ordersToday: 0, revenueToday: 0, activeUsersToday: 0, averageOrderValue: 0, ordersByStatus: {}, updatedAt };
}

async function answer(
  stand: Omit<Stand, 'url' | 'close'>,
  streams: Set<ServerResponse>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0]!;
  const call = `${request.method} ${path}`;
  stand.seen.push(call);
  const reply = (status: number, body: unknown) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const fault = [...stand.broken].find(([prefix]) => path.startsWith(prefix));
  if (fault) return reply(fault[1], { title: 'Broken', status: fault[1], detail: `${fault[0]} is broken` });
  if (path === '/analytics/stream') {
    streams.add(response);
    response.once('close', () => streams.delete(response));
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
    return;
  }
  if (call === 'POST /users') {
    const now = new Date().toISOString();
    const input = (await json(request)) as Omit<User, 'id'>;
    const user = { ...input, id: stand.users.length + 1, status: 'ACTIVE', createdAt: now, updatedAt: now };
    stand.users.push(user);
    return reply(201, user);
  }
  if (call === 'POST /orders')
    return reply(201, place(stand, (await json(request)) as Pick<Order, 'userId' | 'items'>));
  const data: Record<string, unknown> = {
    '/health': { status: 'UP', checks: { database: { status: 'UP' } } },
    '/users': stand.users,
    '/orders': stand.orders.toReversed(),
    '/notifications': stand.notifications.toReversed(),
    '/analytics/dashboard': stand.dashboard,
    '/analytics/revenue/hourly': stand.revenue,
    '/analytics/alerts': stand.alerts.toReversed(),
    '/analytics/streams/status': stand.streams,
  };
  if (path.startsWith('/notifications/user/')) return reply(200, stand.notifications.toReversed());
  const order = /^\/orders\/(\d+)$/.exec(path);
  if (order) return reply(200, stand.orders[Number(order[1]) - 1]);
  reply(data[path] === undefined ? 404 : 200, data[path] ?? { title: 'Not Found', status: 404, detail: path });
}

function place(stand: Omit<Stand, 'url' | 'close'>, { userId, items }: Pick<Order, 'userId' | 'items'>): Order {
  const now = new Date().toISOString();
  const id = stand.orders.length + 1;
  const order: Order = {
    id,
    userId,
    userUsername: stand.users[userId - 1]?.username ?? null,
    userEmail: stand.users[userId - 1]?.email ?? null,
    totalAmount: items.reduce((sum, { totalPrice }) => sum + Math.round(totalPrice * 100), 0) / 100,
    status: 'PENDING',
    itemsCount: items.length,
    items,
    shippingAddress: null,
    notes: null,
    isDeleted: false,
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
  stand.orders.push(order);
  stand.notifications.push({
    id,
    userId,
    eventId: `order-${id}-1`,
    type: 'order.created',
    channel: 'EMAIL',
    recipient: order.userEmail,
    subject: `Your order ${id}`,
    body: '',
    status: 'SENT',
    attempts: 1,
    createdAt: now,
    sentAt: now,
  });
  const { totalAmount, status } = order;
  stand.push('order', { type: 'order.created', orderId: id, userId, status, totalAmount, time: now });
  return order;
}
