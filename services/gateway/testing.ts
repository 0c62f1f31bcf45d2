import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { Type } from 'typebox';
import { collectContracts, defineContract } from '#platform/contract';
import { Health } from '#platform/health';
import { createLogger } from '#platform/telemetry';
import { createGateway } from './gateway.ts';
import type { GatewayOptions } from './gateway.ts';

// Starts real servers on free ports for the gateway's tests, and closes them with the test.

const ok = { 200: { description: 'The answer' } };
const id = { params: Type.Object({ id: Type.String() }) };

function get(path: string) {
  return { method: 'get', path, summary: path, responses: ok } as const;
}

/** Contracts for the gateway's tests: the gateway depends on no service. */
export const contracts = collectContracts({ title: 'Tests', description: 'Services that the tests start.' }, [
  defineContract('users', {
    operations: {
      createUser: { ...get('/users'), method: 'post' },
      listUsers: get('/users'),
      getUser: { ...get('/users/{id}'), ...id },
      updateUser: { ...get('/users/{id}'), ...id, method: 'put' },
      deleteUser: { ...get('/users/{id}'), ...id, method: 'delete' },
      getUserByUsername: get('/users/username/{username}'),
    },
  }),
  defineContract('orders', {
    operations: {
      createOrder: { ...get('/orders'), method: 'post' },
      listOrders: get('/orders'),
      deleteOrder: { ...get('/orders/{id}'), ...id, method: 'delete' },
      getOrder: { ...get('/orders/{id}'), ...id },
      updateOrderStatus: { ...get('/orders/{id}/status'), ...id, method: 'put' },
      listOrderEvents: { ...get('/orders/{id}/events'), ...id },
      getOrderStatistics: get('/orders/statistics'),
      listOrdersByDate: get('/orders/date-range'),
      listOrdersOfUser: get('/orders/user/{userId}'),
      listOrdersOfUserByStatus: get('/orders/user/{userId}/status/{status}'),
    },
  }),
  defineContract('notifications', { operations: { listNotifications: get('/notifications') } }),
  defineContract('analytics', {
    prefixes: ['/api', ''],
    operations: {
      getDashboard: get('/analytics/dashboard'),
      listAlerts: get('/analytics/alerts'),
      streamAnalytics: {
        ...get('/analytics/stream'),
        responses: { 200: { description: 'The stream', contentType: 'text/event-stream' } },
      },
    },
  }),
]);

export interface TestServer {
  url: string;
  port: number;
  server: Server;
  close: () => Promise<void>;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A service as the gateway sees it. */
export async function startUpstream(t: TestContext, listener: Listener, port = 0): Promise<TestServer> {
  const server = createServer((request, response) => void listener(request, response));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  t.after(close);
  const { port: bound } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${bound}`, port: bound, server, close };
}

/** An address where nothing listens. */
export async function unusedUrl(t: TestContext): Promise<{ url: string; port: number }> {
  const { url, port, close } = await startUpstream(t, () => {});
  await close();
  return { url, port };
}

export interface TestGateway {
  url: string;
  port: number;
  health: Health;
  close: () => Promise<void>;
}

/** A gateway; `upstream` is the address of every service that `addresses` does not name. */
export async function startGateway(
  t: TestContext,
  upstream: string,
  options: Partial<GatewayOptions> = {},
): Promise<TestGateway> {
  const health = new Health();
  const server = await createGateway({
    contracts,
    health,
    log: createLogger('gateway', 'silent'),
    ...options,
    addresses: {
      ...Object.fromEntries(contracts.contracts.map(({ name }) => [name, upstream])),
      ...options.addresses,
    },
  });
  const port = await server.listen(0, '127.0.0.1');
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= server.close());
  t.after(close);
  return { url: `http://127.0.0.1:${port}`, port, health, close };
}

/** The body of a request, as text. */
export async function textOf(request: IncomingMessage): Promise<string> {
  return Buffer.concat(await request.toArray()).toString();
}

/** Sends bytes as they are and resolves with everything that came back until the connection was closed. */
export async function raw(port: number, ...parts: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  for (const part of parts) socket.write(part);
  let answer = '';
  socket.setEncoding('utf8');
  for await (const chunk of socket) answer += chunk as string;
  return answer;
}
