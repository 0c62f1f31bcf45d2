import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dashboard } from '#contracts/analytics.ts';
import type { Alert, StreamStatus } from '#streams/contract';
import type { Notification } from '#contracts/notifications.ts';
import type { Order, StoredEvent } from '#contracts/orders.ts';
import type { DeadLetter, PartitionOffset } from '#platform/contract';
import type { User } from '#contracts/users.ts';
import { assertProblem, clientOf, newOrder, newUser } from './client.ts';
import { untilPasses } from '#test/eventually.ts';
import type { PlatformUnderTest } from './under-test.ts';

/** A user and an order through every service, as a client of the gateway. */
export function tour(platform: PlatformUnderTest): void {
  describe('the path of an order', () => {
    test('register, order, status, read model, notification, e-mail, dashboard, alert', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const before = (await gateway.call<Dashboard>('GET', '/analytics/dashboard')).body;

      const input = newUser('ada');
      const registered = await gateway.call<User>('POST', '/users', input);
      assert.equal(registered.status, 201);
      const user = registered.body;
      assert.equal(registered.headers.get('location'), `/api/users/${user.id}`);
      assert.deepEqual(
        { username: user.username, email: user.email, status: user.status },
        { username: input.username, email: input.email, status: 'ACTIVE' },
      );
      assert.match(user.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assertProblem(await gateway.call('POST', '/users', input), 409);

      const placed = await gateway.call<Order>('POST', '/orders', newOrder(user.id, 600));
      assert.equal(placed.status, 201);
      const order = placed.body;
      assert.equal(placed.headers.get('location'), `/api/orders/${order.id}`);
      assert.equal(order.status, 'PENDING');
      assert.equal(order.totalAmount, 1200);

      const read = await gateway.call<Order>('GET', `/orders/${order.id}?minVersion=${order.version}`);
      assert.equal(read.status, 200);
      await untilPasses(async () => {
        const { body } = await gateway.call<Order>('GET', `/orders/${order.id}`);
        assert.equal(body.userUsername, input.username);
        assert.equal(body.userEmail, input.email);
      });

      const etag = placed.headers.get('etag')!;
      const confirmed = await gateway.call<Order>(
        'PUT',
        `/orders/${order.id}/status`,
        { status: 'CONFIRMED' },
        { 'if-match': etag },
      );
      assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));
      assert.equal(confirmed.body.version, 2);
      const stale = await gateway.call(
        'PUT',
        `/orders/${order.id}/status`,
        { status: 'SHIPPED' },
        { 'if-match': etag },
      );
      assertProblem(stale, 412);
      assertProblem(await gateway.call('PUT', `/orders/${order.id}/status`, { status: 'PENDING' }), 409);
      const current = await gateway.call<Order>('GET', `/orders/${order.id}?minVersion=2`);
      assert.equal(current.body.status, 'CONFIRMED');

      const events = await gateway.call<StoredEvent[]>('GET', `/orders/${order.id}/events`);
      assert.deepEqual(
        events.body.map(({ id, type, version }) => [id, type, version]),
        [
          [`order-${order.id}-1`, 'order.created', 1],
          [`order-${order.id}-2`, 'order.status-changed', 2],
        ],
      );

      const sent = await untilPasses(async () => {
        const { body } = await gateway.call<Notification[]>('GET', `/notifications/user/${user.id}`);
        assert.equal(body.length, 3);
        for (const notification of body) assert.equal(notification.status, 'SENT', JSON.stringify(notification));
        return body;
      });
      assert.deepEqual(sent.map(({ type }) => type).toSorted(), [
        'order.created',
        'order.status-changed',
        'user.created',
      ]);
      assert.ok(sent.every(({ recipient }) => recipient === input.email));

      const mails = clientOf(platform.mail);
      await untilPasses(async () => {
        const { body } = await mails.call<{ subject: string }[]>(
          'GET',
          `/api/messages?to=${encodeURIComponent(input.email)}`,
        );
        assert.deepEqual(body.map(({ subject }) => subject).toSorted(), sent.map(({ subject }) => subject).toSorted());
      });

      await untilPasses(async () => {
        const { body } = await gateway.call<Dashboard>('GET', '/analytics/dashboard');
        assert.ok(body.ordersToday > before.ordersToday, 'an order more');
        assert.ok(body.revenueToday >= before.revenueToday + 1200, 'its revenue');
        assert.ok((body.ordersByStatus['CONFIRMED'] ?? 0) > (before.ordersByStatus['CONFIRMED'] ?? 0), 'confirmed');
      });
      await untilPasses(async () => {
        const { body } = await gateway.call<Alert[]>('GET', '/analytics/alerts?type=high-value-order');
        const mine = body.filter((alert) => alert.value === 1200 && alert.message.includes(String(order.id)));
        assert.equal(mine.length, 1, JSON.stringify(body.slice(0, 3)));
      });

      assert.equal((await gateway.call('DELETE', `/orders/${order.id}`)).status, 204);
      assertProblem(await gateway.call('DELETE', `/orders/${order.id}`), 404);
      const deleted = await gateway.call<Order>('GET', `/orders/${order.id}?minVersion=3`);
      assert.equal(deleted.body.isDeleted, true);
      const listed = await gateway.call<Order[]>('GET', `/orders/user/${user.id}`);
      assert.deepEqual(listed.body, []);
    });

    test('a repeated POST with an Idempotency-Key returns the first answer', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const user = (await gateway.call<User>('POST', '/users', newUser())).body;
      const headers = { 'idempotency-key': `key-${user.id}-${Date.now()}` };
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => gateway.call<Order>('POST', '/orders', newOrder(user.id), headers)),
      );
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
      assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1);
      const other = await gateway.call('POST', '/orders', newOrder(user.id, 5), headers);
      assertProblem(other, 422);
    });

    test('server-sent events show the order, and Last-Event-ID resumes after it', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const user = (await gateway.call<User>('POST', '/users', newUser())).body;
      const first = await readEvents(
        `${platform.gateway}/analytics/stream`,
        {},
        async () => {
          await gateway.call('POST', '/orders', newOrder(user.id, 0.5));
        },
        (event) => event.type === 'order' && event.data.includes(`"userId":${user.id}`),
      );
      const second = (await gateway.call<Order>('POST', '/orders', newOrder(user.id, 0.25))).body;
      const resumed = await readEvents(
        `${platform.gateway}/analytics/stream`,
        { 'last-event-id': first.id },
        async () => {},
        (event) => event.type === 'order' && event.data.includes(`"userId":${user.id}`),
      );
      assert.match(resumed.data, new RegExp(`"orderId":${second.id}\\b`));
    });

    test('every service reports its health, and the documents are served', async () => {
      for (const name of ['gateway', 'users', 'orders', 'notifications', 'analytics'] as const) {
        const service = clientOf(platform[name]);
        for (const path of ['/health', '/livez', '/readyz']) {
          assert.equal((await service.call('GET', path)).status, 200, `${name} ${path}`);
        }
        assert.match((await service.call<string>('GET', '/metrics')).body, /^millrace_/m, name);
      }
      const gateway = clientOf(platform.gateway);
      for (const at of [
        `${platform.analytics}/analytics`,
        `${platform.gateway}/analytics`,
        `${platform.gateway}/api/analytics`,
      ]) {
        const { status, body } = await clientOf(at).call<{ service: string }>('GET', '/health');
        assert.deepEqual([status, body.service], [200, 'analytics'], at);
      }
      const openApi = (await gateway.call<{ openapi: string; paths: object }>('GET', '/openapi.json')).body;
      assert.match(openApi.openapi, /^3\.1/);
      assert.ok('/api/orders/{id}' in openApi.paths);
      assert.match((await gateway.call<{ asyncapi: string }>('GET', '/asyncapi.json')).body.asyncapi, /^3\./);
      for (const path of ['/', '/docs'])
        assert.match((await gateway.call<string>('GET', path)).body, /<!doctype html>/i);
    });

    test('each consumer has its dead letters and offsets, at the gateway and on its own port', async () => {
      for (const name of ['orders', 'notifications', 'analytics'] as const) {
        for (const client of [clientOf(`${platform.gateway}/api/ops/${name}`), clientOf(platform[name])]) {
          const letters = await client.call<DeadLetter[]>('GET', '/dead-letters?state=OPEN');
          assert.ok(letters.status === 200 && Array.isArray(letters.body), name);
          assertProblem(await client.call('GET', '/dead-letters?state=LOST'), 400);
          assertProblem(await client.call('POST', '/dead-letters/replay', { expected: 1_000 }), 409);
          const { body } = await client.call<PartitionOffset[]>('GET', '/offsets');
          assert.ok(body.some(({ topic, storedOffset }) => topic === 'order-events' && storedOffset > 0));
          assert.ok(
            body.every(({ storedOffset, endOffset, lag }) => lag === endOffset! - storedOffset),
            name,
          );
        }
      }
    });

    test('stream queries run without lag', async () => {
      await untilPasses(async () => {
        const { body } = await clientOf(platform.gateway).call<StreamStatus[]>('GET', '/analytics/streams/status');
        assert.ok(body.length >= 9, `${body.length} queries`);
        for (const query of body) {
          assert.equal(query.state, 'Running', query.query);
          assert.equal(query.lag, 0, query.query);
        }
      });
    });
  });
}

interface StreamEvent {
  id: string;
  type: string;
  data: string;
}

/** Opens a stream of server-sent events, acts once it is open, and returns the first wanted event. */
async function readEvents(
  url: string,
  headers: Record<string, string>,
  act: () => Promise<void>,
  wanted: (event: StreamEvent) => boolean,
): Promise<StreamEvent> {
  const abort = new AbortController();
  const timeout = setTimeout(() => abort.abort(new Error('no such event within 15 s')), 15_000);
  try {
    const response = await fetch(url, { headers, signal: abort.signal });
    assert.equal(response.headers.get('content-type')?.split(';')[0], 'text/event-stream');
    await act();
    let buffer = '';
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      buffer += chunk;
      const blocks = buffer.split('\n\n');
      buffer = blocks.pop()!;
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1] ?? '';
        const event = { id: field('id'), type: field('event'), data: field('data') };
        if (wanted(event)) return event;
      }
    }
    throw new Error('the stream ended');
  } finally {
    clearTimeout(timeout);
    abort.abort();
  }
}
