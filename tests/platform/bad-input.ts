import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contracts } from '#contracts/index.ts';
import { assertProblem, clientOf, newOrder, newUser } from './client.ts';
import type { PlatformUnderTest } from './under-test.ts';

const huge = '9223372036854775808'; // 2^63: one more than a 64-bit id can be
const sql = "'; DROP TABLE orders; --";

/** Method, path, body, expected status, and the fields that the response must name. */
type Row = [method: string, path: string, body: unknown, status: number, ...fields: string[]];

const user = newUser('bad');
const order = newOrder(1);
const item = order.items[0]!;
const withItem = (changes: object) => ({ ...order, items: [{ ...item, ...changes }] });

const bodies: Row[] = [
  // POST /users and PUT /users/{id} share a body
  ...(['POST /users', 'PUT /users/1'] as const).flatMap((target): Row[] => {
    const [method, path] = target.split(' ') as [string, string];
    return [
      [method, path, undefined, 400, 'body'],
      [method, path, '{"username":', 400, 'body'],
      [method, path, '[]', 400, 'body'],
      [method, path, '"text"', 400, 'body'],
      [method, path, 'null', 400, 'body'],
      [method, path, {}, 400, 'username', 'email', 'firstName', 'lastName'],
      [method, path, { ...user, username: 'ab' }, 400, 'username'],
      [method, path, { ...user, username: 'x'.repeat(51) }, 400, 'username'],
      [method, path, { ...user, username: 7 }, 400, 'username'],
      [method, path, { ...user, username: 'line\nbreak' }, 400, 'username'],
      [method, path, { ...user, email: 'nobody' }, 400, 'email'],
      [method, path, { ...user, email: null }, 400, 'email'],
      [method, path, { ...user, firstName: 'x'.repeat(101) }, 400, 'firstName'],
      [method, path, { ...user, lastName: '' }, 400, 'lastName'],
      [method, path, { ...user, admin: true }, 400, 'admin'],
      [method, path, `{"__proto__":{"x":1},${JSON.stringify(user).slice(1)}`, 400, '__proto__'],
      [method, path, JSON.stringify({ ...user, firstName: 'x'.repeat(1024 * 1024) }), 413],
    ];
  }),
  ['POST', '/orders', undefined, 400, 'body'],
  ['POST', '/orders', '{"userId":1,', 400, 'body'],
  ['POST', '/orders', {}, 400, 'userId', 'items'],
  ['POST', '/orders', { ...order, userId: '1' }, 400, 'userId'],
  ['POST', '/orders', { ...order, userId: 1.5 }, 400, 'userId'],
  ['POST', '/orders', { ...order, userId: -1 }, 400, 'userId'],
  ['POST', '/orders', JSON.stringify(order).replace('"userId":1', `"userId":${huge}`), 400, 'userId'],
  ['POST', '/orders', JSON.stringify(order).replace('"userId":1', '"userId":9223372036854774784'), 422, 'userId'],
  ['POST', '/orders', { ...order, userId: 999_999_999 }, 422, 'userId'],
  ['POST', '/orders', { ...order, items: [] }, 400, 'items'],
  ['POST', '/orders', { ...order, items: {} }, 400, 'items'],
  ['POST', '/orders', { ...order, items: Array(501).fill(item) }, 400, 'items'],
  ['POST', '/orders', withItem({ quantity: 0 }), 400, 'items[0].quantity'],
  ['POST', '/orders', withItem({ quantity: 1.5 }), 400, 'items[0].quantity'],
  ['POST', '/orders', withItem({ quantity: '2' }), 400, 'items[0].quantity'],
  ['POST', '/orders', withItem({ unitPrice: -1 }), 400, 'items[0].unitPrice'],
  ['POST', '/orders', withItem({ unitPrice: 1.005 }), 400, 'items[0].unitPrice'],
  ['POST', '/orders', withItem({ totalPrice: 39.99 }), 400, 'items[0].totalPrice'],
  ['POST', '/orders', withItem({ productName: 'x'.repeat(201) }), 400, 'items[0].productName'],
  ['POST', '/orders', withItem({ productId: null }), 400, 'items[0].productId'],
  ['POST', '/orders', withItem({ discount: 1 }), 400, 'items[0].discount'],
  ['POST', '/orders', { ...order, shippingAddress: 'x'.repeat(501) }, 400, 'shippingAddress'],
  ['POST', '/orders', { ...order, notes: 7 }, 400, 'notes'],
  ['POST', '/orders', { ...order, status: 'DELIVERED' }, 400, 'status'],
  ['PUT', '/orders/1/status', {}, 400, 'status'],
  ['PUT', '/orders/1/status', { status: 'LOST' }, 400, 'status'],
  ['PUT', '/orders/1/status', { status: 'CONFIRMED', by: 'me' }, 400, 'by'],
  ['PUT', '/orders/1/status', '{', 400, 'body'],
];

/** The same faults for each parameter of each operation: the contract lists them, so that none is forgotten. */
const parameters: Row[] = contracts.operations.flatMap((operation): Row[] => {
  const method = operation.method.toUpperCase();
  const good: Record<string, string> = {
    status: 'PENDING',
    period: 'daily',
    type: 'PENDING',
    username: 'x',
    name: 'x',
  };
  const fill = (changed: Record<string, string>) =>
    operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(changed[name] ?? good[name] ?? '1'),
    );
  const required: Record<string, string> = {
    startDate: '2026-01-01',
    endDate: '2026-01-02',
    username: 'x',
    minAmount: '1',
  };
  const inQuery = Object.keys(operation.query?.properties ?? {});
  const query = (changed: Record<string, string>) => {
    const all = inQuery.filter((name) => name in required).map((name) => [name, required[name]!]);
    return `?${new URLSearchParams({ ...(Object.fromEntries(all) as Record<string, string>), ...changed }).toString()}`;
  };
  const body = operation.id === 'setOrderStatus' ? { status: 'CONFIRMED' } : operation.body ? user : undefined;
  const rows: Row[] = [];
  for (const name of Object.keys(operation.params?.properties ?? {})) {
    if (name === 'id' || name === 'userId') {
      for (const id of [huge, '-1', 'x', '1.5', '1e3', sql]) rows.push([method, fill({ [name]: id }), body, 400, name]);
    }
    if (name === 'status' || name === 'period') rows.push([method, fill({ [name]: 'lost' }), body, 400, name]);
    if (name === 'username') rows.push([method, fill({ [name]: 'x'.repeat(51) }), body, 400, name]);
  }
  for (const name of inQuery) {
    const wrong: Record<string, string[]> = {
      limit: ['-1', '0', '1001', 'x', '1.5', ''],
      cursor: ['-1', 'x', huge],
      minVersion: ['0', '-1', 'x'],
      startDate: ['', 'yesterday', '2026-02-30', sql],
      endDate: ['', 'yesterday', '2026-13-01'],
      from: ['yesterday'],
      to: ['yesterday'],
      minAmount: ['', 'x', '1e3', sql],
      username: ['', 'x'.repeat(51)],
      severity: ['loud'],
    };
    for (const value of wrong[name] ?? [])
      rows.push([method, `${fill({})}${query({ [name]: value })}`, body, 400, name]);
    if (name in required) {
      const others = new URLSearchParams(query({}).slice(1));
      others.delete(name);
      rows.push([method, `${fill({})}?${others.toString()}`, body, 400, name]);
    }
  }
  return rows;
});

/** Unknown paths and methods. */
const doors: Row[] = [
  ['GET', '/users/9223372036854775807', undefined, 404],
  ['GET', '/users/username/nobody-at-all', undefined, 404],
  ['DELETE', '/users/999999999', undefined, 404],
  ['GET', '/orders/9223372036854775807', undefined, 404],
  ['GET', '/orders/999999999/events', undefined, 404],
  ['DELETE', '/orders/999999999', undefined, 404],
  ['PUT', '/orders/999999999/status', { status: 'CONFIRMED' }, 404],
  ['GET', '/notifications/999999999', undefined, 404],
  ['GET', '/analytics/queries/none/windows', undefined, 404],
  ['GET', '/nothing', undefined, 404],
  ['GET', '/orders/1/nothing', undefined, 404],
  ['PATCH', '/orders/1', {}, 405],
  ['POST', '/orders/1', {}, 405],
  ['DELETE', '/orders', undefined, 405],
  ['PUT', '/users', user, 405],
  ['POST', '/notifications', {}, 405],
  ['POST', '/analytics/alerts', {}, 405],
];

export function badInput(platform: PlatformUnderTest): void {
  describe('bad input', () => {
    for (const [where, rows] of Object.entries({ bodies, parameters, doors })) {
      test(`${where}: each of ${rows.length} faults is answered as the contract says`, async () => {
        const gateway = clientOf(`${platform.gateway}/api`);
        const wrong: string[] = [];
        for (const [method, path, body, status, ...fields] of rows) {
          const what = `${method} ${path.slice(0, 100)} ${(JSON.stringify(body) ?? '').slice(0, 100)}`;
          try {
            const named = assertProblem(await gateway.call(method, path, body), status, what);
            assert.deepEqual(named.toSorted(), fields.toSorted(), what);
          } catch (error) {
            wrong.push((error as Error).message);
          }
        }
        assert.equal(wrong.length, 0, `${wrong.length} of ${rows.length}:\n${wrong.join('\n')}`);
      });
    }

    test('a 405 names the allowed methods', async () => {
      const answer = await clientOf(`${platform.gateway}/api`).call('PATCH', '/orders/1');
      assert.deepEqual(answer.headers.get('allow')?.split(', ').toSorted(), ['DELETE', 'GET', 'HEAD', 'OPTIONS']);
    });

    test('SQL in a search finds and changes nothing', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      for (const text of [sql, '%', '_', '\\', "' OR '1'='1"]) {
        const answer = await gateway.call('GET', `/orders/search/username?username=${encodeURIComponent(text)}`);
        assert.equal(answer.status, 200, text);
        assert.deepEqual(answer.body, [], text);
      }
      assert.equal((await gateway.call('GET', '/orders/statistics')).status, 200);
    });

    test('an Idempotency-Key that is too long is refused', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      const answer = await gateway.call('POST', '/orders', order, { 'idempotency-key': 'k'.repeat(256) });
      assert.deepEqual(assertProblem(answer, 400), ['idempotency-key']);
    });

    test('a body that is not JSON by its type is refused', async () => {
      const gateway = clientOf(`${platform.gateway}/api`);
      assertProblem(await gateway.call('POST', '/orders', 'userId=1', { 'content-type': 'text/plain' }), 415);
    });
  });
}
