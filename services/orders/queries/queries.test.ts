import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Order } from '#contracts/orders.ts';
import { transaction } from '#platform/postgres';
import { processOrderEvents } from '../projection/order-event-processor.ts';
import { lamp, startOrders, userCreated } from '../testing.ts';
import type { Answer, TestOrders } from '../testing.ts';

let orders: TestOrders;
/** every order by the number in its notes, 0 the oldest; 7 is deleted */
const placed: Order[] = [];
const usernames = ['ada', 'Adam_1', '100%', 'back\\slash', "o'hara"];
const closing: (() => Promise<void>)[] = [];
const price = (n: number) => ({ ...lamp, quantity: n + 1, totalPrice: Number((9.99 * (n + 1)).toFixed(2)) });

before(async () => {
  orders = await startOrders({ after: (close: () => Promise<void>) => closing.push(close) });
  for (let n = 0; n < 25; n++) {
    placed.push(await orders.place({ userId: (n % 5) + 1, items: [price(n)], notes: `${n}` }));
  }
  for (const n of [0, 5, 6]) await orders.send('PUT', `/orders/${placed[n]!.id}/status`, { status: 'CONFIRMED' });
  await orders.send('PUT', `/orders/${placed[6]!.id}/status`, { status: 'SHIPPED' });
  await orders.send('PUT', `/orders/${placed[8]!.id}/status`, { status: 'CANCELLED' });
  await orders.send('DELETE', `/orders/${placed[7]!.id}`);
  await orders.project();
  const users = usernames.map((username, i) => userCreated(i + 1, username));
  await transaction(orders.readPool, (tx) => processOrderEvents(tx, users));
});
after(() => Promise.all(closing.map((close) => close())));

const live = (keep: (n: number) => boolean = () => true) =>
  placed
    .map((_, n) => n)
    .filter((n) => n !== 7 && keep(n))
    .toReversed();

/** The numbers of the orders of an answer. */
function numbers({ status, body }: Answer): number[] {
  assert.equal(status, 200, JSON.stringify(body));
  return body.map(({ notes }) => Number(notes));
}

/** Follows Link to the end. */
async function pages(path: string): Promise<number[][]> {
  const found: number[][] = [];
  for (let next: string | undefined = path; next;) {
    const answer = await orders.send('GET', next);
    found.push(numbers(answer));
    next = /^<(.+)>; rel="next"$/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  return found;
}

const between = (from: number, to: number) =>
  `/orders/date-range?startDate=${placed[from]!.createdAt}&endDate=${placed[to]!.createdAt}`;

const lists: [name: string, path: () => string, expected: () => number[]][] = [
  ['all', () => '/orders', () => live()],
  ['of a user', () => '/orders/user/3', () => live((n) => n % 5 === 2)],
  ['of nobody', () => '/orders/user/77', () => []],
  ['in a status', () => '/orders/status/CONFIRMED', () => [5, 0]],
  ['of a user in a status', () => '/orders/user/1/status/CONFIRMED', () => [5, 0]],
  ['of a user in a status that none has', () => '/orders/user/1/status/DELIVERED', () => []],
  ['above an amount', () => '/orders/amount-greater-than?minAmount=99.9', () => live((n) => n > 9)],
  ['above the amount, minus a hair', () => '/orders/amount-greater-than?minAmount=99.8999', () => live((n) => n >= 9)],
  ['above a negative amount', () => '/orders/amount-greater-than?minAmount=-1', () => live()],
  ['part of a username, in any case', () => '/orders/search/username?username=DA', () => live((n) => n % 5 < 2)],
  ['a name with an underscore', () => '/orders/search/username?username=m_1', () => live((n) => n % 5 === 1)],
  ['an underscore is no wildcard', () => '/orders/search/username?username=a_a', () => []],
  ['a percent sign is no wildcard', () => '/orders/search/username?username=%25', () => live((n) => n % 5 === 2)],
  ['a backslash', () => '/orders/search/username?username=%5C', () => live((n) => n % 5 === 3)],
  ['a quote', () => `/orders/search/username?username=o'h`, () => live((n) => n % 5 === 4)],
  ['SQL', () => `/orders/search/username?username=${encodeURIComponent("' OR 1=1; DROP TABLE orders; --")}`, () => []],
];

for (const [name, path, expected] of lists) {
  test(`lists orders: ${name}`, async () => {
    assert.deepEqual(numbers(await orders.send('GET', path())), expected());
  });
  test(`pages through orders: ${name}`, async () => {
    const found = await pages(`${path()}${path().includes('?') ? '&' : '?'}limit=4`);
    assert.deepEqual(found.flat(), expected());
    for (const page of found.slice(0, -1)) assert.equal(page.length, 4);
  });
}

test('a date range includes both ends, and a time without a zone is UTC', async () => {
  const expected = live((n) => n >= 2 && n <= 9);
  // orders that were placed in the same millisecond as an end are included
  const inside = (found: number[]) => expected.every((n) => found.includes(n));
  assert.ok(inside(numbers(await orders.send('GET', between(2, 9)))));
  assert.ok(inside(numbers(await orders.send('GET', between(2, 9).replaceAll('Z', '')))));
  assert.ok(inside((await pages(`${between(2, 9)}&limit=3`)).flat()));
  const { createdAt } = placed[4]!;
  const one = numbers(await orders.send('GET', `/orders/date-range?startDate=${createdAt}&endDate=${createdAt}`));
  assert.ok(one.includes(4));
  assert.deepEqual(numbers(await orders.send('GET', '/orders/date-range?startDate=2020-01-01&endDate=2020-12-31')), []);
});

test('a page continues after the last order, although new orders have come', async () => {
  const first = await orders.send('GET', '/orders?limit=5');
  const next = /<(.+)>/.exec(first.headers.get('link')!)![1]!;
  const newer = await orders.place({ notes: '99' });
  await orders.project();
  const second = numbers(await orders.send('GET', next));
  assert.deepEqual(second.slice(0, 5), live().slice(5, 10));
  await orders.send('DELETE', `/orders/${newer.id}`);
  await orders.project();
});

test('an order has its user and every field', async () => {
  const answer = await orders.send('GET', `/orders/${placed[1]!.id}`);
  assert.equal(answer.headers.get('etag'), '"1"');
  assert.deepEqual(answer.body, { ...placed[1], userUsername: 'Adam_1', userEmail: '2@example.org' });
});

test('only a query by id shows a deleted order', async () => {
  const { body } = await orders.send('GET', `/orders/${placed[7]!.id}`);
  assert.equal(body.isDeleted, true);
  assert.equal(body.version, 2);
});

test('orders are counted by status, without deleted ones', async () => {
  const { body } = await orders.send('GET', '/orders/statistics');
  assert.deepEqual(body, {
    pendingCount: 20,
    confirmedCount: 2,
    shippedCount: 1,
    deliveredCount: 0,
    cancelledCount: 1,
    totalCount: 24,
  });
});

test("an order's events are those of the event store, oldest first", async () => {
  const { id, createdAt } = placed[6]!;
  const { body } = await orders.send('GET', `/orders/${id}/events`);
  const events = body as unknown as { id: string; type: string; version: number; time: string; data: Order }[];
  assert.deepEqual(
    events.map(({ id: eventId, type, version }) => [eventId, type, version]),
    [
      [`order-${id}-1`, 'order.created', 1],
      [`order-${id}-2`, 'order.status-changed', 2],
      [`order-${id}-3`, 'order.status-changed', 3],
    ],
  );
  assert.equal(events[0]!.time, createdAt);
  assert.deepEqual(events[0]!.data.items, [price(6)]);
  assert.equal((await orders.send('GET', '/orders/987654/events')).status, 404);
});

const bad = [
  '/orders?limit=0',
  '/orders?limit=-1',
  '/orders?limit=1001',
  '/orders?limit=ten',
  '/orders?cursor=x',
  '/orders?cursor=9223372036854775808',
  '/orders/9223372036854775808',
  '/orders/abc',
  '/orders/1?minVersion=0',
  '/orders/user/abc',
  '/orders/status/LOST',
  '/orders/date-range?startDate=2026-01-01',
  '/orders/date-range?startDate=2026-02-30&endDate=2026-03-01',
  '/orders/date-range?startDate=2026-02-02&endDate=2026-02-01',
  '/orders/search/username',
  '/orders/search/username?username=',
  '/orders/search/username?username=a%00b',
  '/orders/amount-greater-than',
  '/orders/amount-greater-than?minAmount=1e3',
  "/orders/amount-greater-than?minAmount=1'",
];

for (const path of bad) {
  test(`400 for ${path}`, async () => {
    const { status, body } = await orders.send('GET', path);
    assert.equal(status, 400, JSON.stringify(body));
    assert.ok((body['errors'] as unknown[]).length > 0);
  });
}

test('the earliest and the latest time are times', async () => {
  const range = 'startDate=0000-01-01T00:00:00%2B23:59&endDate=9999-12-31T23:59:59.999999999-23:59&limit=1000';
  assert.equal(numbers(await orders.send('GET', `/orders/date-range?${range}`)).length, 24);
});

test('an order is sent only to a client that does not have it', async () => {
  const { id } = placed[0]!;
  const answer = await orders.send('GET', `/orders/${id}`);
  const tag = answer.headers.get('etag')!;
  assert.equal(tag, '"2"');
  const get = (known: string, query = '') =>
    orders.send('GET', `/orders/${id}${query}`, undefined, { 'if-none-match': known });
  const known = await get(tag);
  assert.deepEqual([known.status, known.headers.get('etag'), known.body], [304, tag, undefined]);
  assert.equal((await get('"1", W/"2"')).status, 304);
  assert.equal((await get(tag, '?minVersion=2')).status, 304);
  assert.deepEqual((await get('"1"')).body, answer.body);
});

test('the largest limit and cursor, and a cursor without an order, are valid', async () => {
  assert.equal(numbers(await orders.send('GET', '/orders?limit=1000')).length, 24);
  assert.deepEqual(numbers(await orders.send('GET', '/orders?cursor=9223372036854775807')), []);
});

test('a page ends early if its orders are large', async () => {
  const items = Array.from({ length: 500 }, () => ({ ...lamp, productName: 'x'.repeat(200) }));
  for (let n = 0; n < 40; n++) await orders.place({ userId: 9, items, notes: `${n}` });
  await orders.project();
  const found = await pages('/orders/user/9?limit=1000');
  assert.ok(found.length > 1, `${found.length} pages`);
  assert.deepEqual(
    found.flat(),
    Array.from({ length: 40 }, (_, n) => 39 - n),
  );
});

test('minVersion waits until the version is projected', async () => {
  const { id } = await orders.place({ userId: 2 });
  const waiting = orders.send('GET', `/orders/${id}?minVersion=1`);
  await orders.project();
  assert.equal((await waiting).body.version, 1);
  const next = orders.send('GET', `/orders/${id}?minVersion=2`);
  await orders.send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' });
  await orders.project();
  orders.app.projected();
  const { status, body, headers } = await next;
  assert.deepEqual([status, body.version, body.status, headers.get('etag')], [200, 2, 'CONFIRMED', '"2"']);
});

test('minVersion answers after a second with the present version', async () => {
  const startedAt = performance.now();
  const [missing, older] = await Promise.all([
    orders.send('GET', '/orders/987654?minVersion=1'),
    orders.send('GET', `/orders/${placed[1]!.id}?minVersion=2`),
  ]);
  const took = performance.now() - startedAt;
  assert.ok(took >= 990 && took < 2_500, `${took} ms`);
  assert.equal(missing.status, 404);
  assert.deepEqual([older.status, older.body.version], [200, 1]);
});
