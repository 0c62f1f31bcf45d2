import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { Order } from '#contracts/orders.ts';
import type { User } from '#contracts/users.ts';
import { spanTree } from '#test/otlp.ts';
import type { SpanNode } from '#test/otlp.ts';
import { clientOf, newOrder, newUser } from './client.ts';
import { untilPasses } from '#test/eventually.ts';
import type { PlatformUnderTest } from './under-test.ts';

/** A tree as nested lines, `service: span`, so that a difference is easy to see. */
function lines(node: SpanNode, depth = 0): string[] {
  const children = node.children.map((child) => lines(child, depth + 1)).toSorted((a, b) => (a[0]! < b[0]! ? -1 : 1));
  return [`${'  '.repeat(depth)}${node.service}: ${node.name}`, ...children.flat()];
}

const registration = [
  'gateway: POST /api/users',
  '  gateway: POST /users',
  '    users: POST /users',
  '      users: publish user-events',
  '        analytics: process user-events',
  '        notifications: process user-events',
  '          notifications: send e-mail',
  '        orders: process user-events',
];

const ordering = [
  'gateway: POST /api/orders',
  '  gateway: POST /orders',
  '    orders: POST /orders',
  '      orders: GET /users/{id}',
  '        users: GET /users/{id}',
  '      orders: publish order-events',
  '        analytics: process order-events',
  '        notifications: process order-events',
  '          notifications: send e-mail',
  '        orders: process order-events',
];

export function trace(platform: PlatformUnderTest): void {
  describe('one trace follows', () => {
    const gateway = () => clientOf(`${platform.gateway}/api`);

    /** Sends a request as part of a new trace and waits until the trace has that many spans. */
    async function traced<T>(path: string, body: unknown, spans: number): Promise<{ body: T; tree: string[] }> {
      const traceId = randomBytes(16).toString('hex');
      const spanId = randomBytes(8).toString('hex');
      const answer = await gateway().call<T>('POST', path, body, { traceparent: `00-${traceId}-${spanId}-01` });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
      const tree = await untilPasses(async () => {
        const mine = platform.spans.filter((span) => span.traceId === traceId);
        const seen = mine.map((span) => `${span.service}: ${span.name}`).join('\n');
        assert.ok(mine.length >= spans, `${mine.length} of ${spans} spans:\n${seen}`);
        return lines(spanTree(mine, spanId));
      }, 30_000);
      return { body: answer.body, tree };
    }

    test('a registration from the gateway to the welcome e-mail', async () => {
      const { tree } = await traced<User>('/users', newUser(), registration.length);
      assert.deepEqual(tree, registration);
    });

    test('an order from the gateway through orders, users, outbox, Kafka, to its projection, analytics and e-mail', async () => {
      const user = (await gateway().call<User>('POST', '/users', newUser())).body;
      const { tree } = await traced<Order>('/orders', newOrder(user.id), ordering.length);
      assert.deepEqual(tree, ordering);
    });
  });
}
