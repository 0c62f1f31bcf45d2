import assert from 'node:assert/strict';
import { before, after, test } from 'node:test';
import { orderStatuses } from '#contracts/orders.ts';
import type { OrderStatus } from '#contracts/orders.ts';
import { Problem } from '#platform/http';
import { mayStep } from '../domain/lifecycle.ts';
import type { KnownUser } from '../domain/order.ts';
import { lamp, startOrders } from '../testing.ts';
import type { TestOrders } from '../testing.ts';

let orders: TestOrders;
let lookUp: (id: number) => Promise<KnownUser | undefined>;
const ada = { username: 'ada', email: 'ada@example.org' };
const closing: (() => Promise<void>)[] = [];

before(async () => {
  orders = await startOrders(
    { after: (close: () => Promise<void>) => closing.push(close) },
    { find: (id) => lookUp(id) },
  );
  lookUp = () => Promise.resolve(ada);
});
after(() => Promise.all(closing.map((close) => close())));

test('the response to a new order has all fields, its Location and its ETag', async () => {
  const body = { userId: 4, items: [lamp, { ...lamp, quantity: 1, totalPrice: 9.99 }], notes: 'Ring "twice" \\ 😀' };
  const answer = await orders.send('POST', '/orders', body);
  assert.equal(answer.status, 201);
  const { id, createdAt, updatedAt, ...rest } = answer.body;
  assert.equal(answer.headers.get('location'), `/orders/${id}`);
  assert.equal(answer.headers.get('etag'), '"1"');
  assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(updatedAt, createdAt);
  assert.deepEqual(rest, {
    userId: 4,
    userUsername: 'ada',
    userEmail: 'ada@example.org',
    totalAmount: 29.97,
    status: 'PENDING',
    itemsCount: 2,
    items: body.items,
    shippingAddress: null,
    notes: body.notes,
    isDeleted: false,
    version: 1,
  });
  const [event, ...others] = (await orders.events()).filter(({ key }) => key === String(id));
  assert.deepEqual(others, []);
  assert.equal(event!.id, `order-${id}-1`);
  assert.equal(event!.source, '/orders');
  assert.deepEqual(event!.data, {
    orderId: id,
    userId: 4,
    status: 'PENDING',
    totalAmount: 29.97,
    items: body.items,
    shippingAddress: null,
    notes: body.notes,
    createdAt,
  });
});

test('a wrong total is named, and nothing is stored', async () => {
  const earlier = await orders.events();
  const answer = await orders.send('POST', '/orders', { userId: 1, items: [{ ...lamp, totalPrice: 20 }] });
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.body['errors'], [
    { field: 'items[0].totalPrice', message: 'must be quantity × unitPrice = 19.98' },
  ]);
  assert.equal((await orders.events()).length, earlier.length);
});

test('an unknown user is 422, also one whose id JSON cannot hold; without users it is 503', async () => {
  lookUp = () => Promise.resolve(undefined);
  for (const userId of ['12', '9007199254740993', '9223372036854774784']) {
    const answer = await orders.send('POST', '/orders', `{"userId":${userId},"items":[${JSON.stringify(lamp)}]}`);
    assert.equal(answer.status, 422, userId);
    assert.equal((answer.body['errors'] as { field: string }[])[0]!.field, 'userId');
  }
  lookUp = () => Promise.reject(new Problem(503, { detail: 'users', headers: { 'Retry-After': '2' } }));
  const answer = await orders.send('POST', '/orders', { userId: 1, items: [lamp] });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('retry-after'), '2');
  lookUp = () => Promise.resolve(ada);
});

/** The shortest way from PENDING to each status. */
const ways: Record<OrderStatus, OrderStatus[]> = {
  PENDING: [],
  CONFIRMED: ['CONFIRMED'],
  SHIPPED: ['CONFIRMED', 'SHIPPED'],
  DELIVERED: ['CONFIRMED', 'SHIPPED', 'DELIVERED'],
  CANCELLED: ['CANCELLED'],
};

for (const from of orderStatuses) {
  for (const to of orderStatuses) {
    test(`a ${from} order is changed to ${to}`, async () => {
      const { id } = await orders.place();
      for (const status of ways[from]) await orders.send('PUT', `/orders/${id}/status`, { status });
      const version = ways[from].length + 1;
      const answer = await orders.send('PUT', `/orders/${id}/status`, { status: to });
      const events = (await orders.events()).filter(({ key }) => key === String(id));
      if (!mayStep(from, to)) {
        assert.equal(answer.status, 409);
        assert.equal(events.length, version);
        return;
      }
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get('etag'), `"${version + 1}"`);
      assert.equal(answer.body.status, to);
      assert.equal(answer.body.version, version + 1);
      assert.equal(answer.body.userUsername, 'ada');
      assert.deepEqual(answer.body.items, [lamp]);
      assert.deepEqual(events.at(-1)!.data, {
        orderId: id,
        userId: 1,
        previousStatus: from,
        status: to,
        totalAmount: 19.98,
        version: version + 1,
        createdAt: answer.body.createdAt,
        changedAt: answer.body.updatedAt,
      });
    });
  }
}

test('a status change succeeds without the names of its user', async () => {
  const { id } = await orders.place();
  lookUp = () => Promise.reject(new Problem(503));
  const answer = await orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' });
  lookUp = () => Promise.resolve(ada);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.userUsername, null);
});

test('exactly one of several changes on the same version succeeds', async () => {
  const { id } = await orders.place();
  const tries = Array.from({ length: 20 }, (_, i) =>
    orders.send(
      'PUT',
      `/orders/${id}/status`,
      { status: i % 2 === 0 ? 'CONFIRMED' : 'CANCELLED' },
      { 'if-match': '"1"' },
    ),
  );
  const statuses = (await Promise.all(tries)).map(({ status }) => status).toSorted();
  assert.deepEqual(statuses, [200, ...Array<number>(19).fill(412)]);
  assert.equal((await orders.events()).filter(({ key }) => key === String(id)).length, 2);
});

test('without If-Match only the allowed status changes decide a race', async () => {
  const { id } = await orders.place();
  const steps = ['CONFIRMED', 'SHIPPED', 'DELIVERED', 'CANCELLED'];
  const tries = Array.from({ length: 24 }, (_, i) =>
    orders.send('PUT', `/orders/${id}/status`, { status: steps[i % steps.length] }),
  );
  const answers = await Promise.all(tries);
  assert.deepEqual([...new Set(answers.map(({ status }) => status))].toSorted(), [200, 409]);
  const events = (await orders.events()).filter(({ key }) => key === String(id));
  assert.deepEqual(
    events.map((event) => event.id),
    events.map((_, i) => `order-${id}-${i + 1}`),
  );
  assert.equal(answers.filter(({ status }) => status === 200).length, events.length - 1);
});

test('text that PostgreSQL cannot store is named', async () => {
  const faults = async (changes: Record<string, unknown>) => {
    const { status, body } = await orders.send('POST', '/orders', { userId: 4, items: [lamp], ...changes });
    return [status, ...((body['errors'] ?? []) as { field: string }[]).map(({ field }) => field).toSorted()];
  };
  assert.deepEqual(await faults({ notes: 'a\0b', shippingAddress: 'half \ud83d' }), [400, 'notes', 'shippingAddress']);
  assert.deepEqual(await faults({ items: [{ ...lamp, productName: '\0' }] }), [400, 'items[0].productName']);
  assert.deepEqual(await faults({ notes: 'whole 😀, tab \t, newline \n' }), [201]);
});

test('an order is deleted only in the version that the client has seen', async () => {
  const { id } = await orders.place();
  await orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' });
  const remove = (tag: string) => orders.send('DELETE', `/orders/${id}`, undefined, { 'if-match': tag });
  for (const tag of ['"1"', 'W/"2"', '"x"', '']) assert.equal((await remove(tag)).status, 412, tag);
  assert.equal((await orders.events()).filter(({ key }) => key === String(id)).length, 2);
  assert.equal((await remove('"1", "2"')).status, 204);
  assert.equal((await remove('"3"')).status, 404, 'it is deleted');
});

test('If-Match is compared strongly, * matches any version', async () => {
  const { id } = await orders.place();
  const confirm = (tag: string) =>
    orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' }, { 'if-match': tag });
  assert.equal((await confirm('W/"1"')).status, 412);
  assert.equal((await confirm('"2"')).status, 412);
  assert.equal((await confirm('"7", "1"')).status, 200);
  assert.equal((await confirm('*')).status, 409);
});

test('an order is deleted once; then it is 404 for commands', async () => {
  const { id } = await orders.place();
  const answers = await Promise.all([1, 2, 3].map(() => orders.send('DELETE', `/orders/${id}`)));
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [204, 404, 404]);
  assert.equal((await orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' })).status, 404);
  const last = (await orders.events()).findLast(({ key }) => key === String(id))!;
  assert.equal(last.type, 'order.deleted');
  const data = last.data as Record<string, unknown>;
  assert.equal(data['version'], 2);
  assert.equal(data['status'], 'PENDING');
});

test('unknown ids are 404', async () => {
  for (const id of ['0', '999999999', '9223372036854775807']) {
    assert.equal((await orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' })).status, 404);
    assert.equal((await orders.send('DELETE', `/orders/${id}`)).status, 404);
  }
  assert.equal((await orders.send('DELETE', '/orders/9223372036854775808')).status, 400);
});
