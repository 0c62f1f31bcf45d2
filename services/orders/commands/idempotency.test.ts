import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Problem } from '#platform/http';
import { lamp, startOrders } from '../testing.ts';
import type { TestOrders } from '../testing.ts';
import { forgetOldKeys } from './idempotency.ts';

let orders: TestOrders;
let away = false;
const find = () => (away ? Promise.reject(new Problem(503)) : Promise.resolve({ username: 'ada', email: 'a@b.c' }));
const closing: (() => Promise<void>)[] = [];

before(async () => {
  orders = await startOrders({ after: (close: () => Promise<void>) => closing.push(close) }, { find });
});
after(() => Promise.all(closing.map((close) => close())));

const post = (key: string, changes: Record<string, unknown> = {}) =>
  orders.send('POST', '/orders', { userId: 1, items: [lamp], ...changes }, { 'idempotency-key': key });

test('a repeated POST gets the first answer', async () => {
  const key = randomUUID();
  const first = await post(key, { notes: 'a' });
  await orders.send('PUT', `/orders/${first.body.id}/status`, { status: 'CONFIRMED' });
  const second = await post(key, { notes: 'a' });
  assert.equal(second.status, 201);
  assert.deepEqual(second.body, first.body);
  assert.equal(second.headers.get('location'), first.headers.get('location'));
  assert.equal(second.headers.get('etag'), '"1"');
});

test('a repeated POST gets the first answer if the user cannot be looked up', async () => {
  const key = randomUUID();
  const first = await post(key);
  away = true;
  const [second, other] = await Promise.all([post(key), post(randomUUID())]);
  away = false;
  assert.equal(second.status, 201);
  assert.equal(second.body.id, first.body.id);
  assert.equal(other.status, 503);
});

test('the same key with another body is 422', async () => {
  const key = randomUUID();
  await post(key);
  const answer = await post(key, { notes: 'else' });
  assert.equal(answer.status, 422);
  assert.match(String(answer.body['detail']), /Idempotency-Key/);
});

test('the same key and body of two subjects make two orders, and each gets its own again', async () => {
  const key = randomUUID();
  const postAs = (subject?: string) =>
    orders.send(
      'POST',
      '/orders',
      { userId: 1, items: [lamp], notes: 'same' },
      { 'idempotency-key': key, ...(subject !== undefined && { 'x-millrace-subject': subject }) },
    );
  const callers = ['ada', 'bob', 'J%C3%BCrgen', undefined];
  const first = [];
  for (const caller of callers) first.push(await postAs(caller));
  assert.deepEqual([...new Set(first.map(({ status }) => status))], [201]);
  assert.equal(new Set(first.map(({ body }) => body.id)).size, callers.length);
  for (const [i, caller] of callers.entries()) assert.equal((await postAs(caller)).body.id, first[i]!.body.id);
});

test('a key that another transaction keeps locked holds up no other order, and is 503 until it is free', async () => {
  const key = randomUUID();
  const other = await orders.directPool.connect(); // as one whose server process hangs
  const plain = () => orders.send('POST', '/orders', { userId: 1, items: [lamp] });
  try {
    await other.query('BEGIN');
    await other.query(`INSERT INTO idempotency_keys (key, fingerprint, order_id) VALUES ($1, 'f', 1)`, [key]);
    const answers = await Promise.all([post(key), post(randomUUID()), post(randomUUID()), plain(), plain()]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [503, 201, 201, 201, 201],
    );
    await other.query('ROLLBACK');
  } finally {
    other.release(true);
  }
  assert.equal((await post(key)).status, 201);
});

test('many keys that stay locked hold up the others little longer than one does', async () => {
  const keys = Array.from({ length: 25 }, () => randomUUID());
  const other = await orders.directPool.connect();
  try {
    await other.query('BEGIN');
    await other.query(
      `INSERT INTO idempotency_keys (key, fingerprint, order_id) SELECT key, 'f', 1 FROM unnest($1::text[]) AS k(key)`,
      [keys],
    );
    const begin = performance.now();
    const answers = await Promise.all([...keys, randomUUID()].map((key) => post(key)));
    const seconds = (performance.now() - begin) / 1_000;
    assert.deepEqual(
      answers.map(({ status }) => status),
      [...keys.map(() => 503), 201],
    );
    assert.ok(seconds < 8, `${seconds} s`);
    await other.query('ROLLBACK');
  } finally {
    other.release(true);
  }
});

test('a key that is empty or too long is 400', async () => {
  assert.equal((await post('')).status, 400);
  assert.equal((await post('k'.repeat(256))).status, 400);
  for (const key of ['ü', 'a b', 'a\tb']) assert.equal((await post(key)).status, 201, key);
  assert.equal((await post('k'.repeat(255))).status, 201);
});

test('each key of many concurrent requests makes exactly one order, among orders without a key', async () => {
  const keys = Array.from({ length: 5 }, () => randomUUID());
  const earlier = (await orders.events()).length;
  const answers = await Promise.all(
    Array.from({ length: 150 }, (_, i) =>
      i % 3 === 0
        ? orders.send('POST', '/orders', { userId: 1, items: [lamp], notes: `plain ${i}` })
        : post(keys[i % 5]!, { notes: keys[i % 5] }),
    ),
  );
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [201]);
  for (const [i, { body }] of answers.entries()) {
    assert.equal(body.notes, i % 3 === 0 ? `plain ${i}` : keys[i % 5]);
  }
  assert.equal(new Set(answers.map(({ body }) => body.id)).size, 50 + 5);
  assert.equal((await orders.events()).length - earlier, 50 + 5);
});

test('keys are deleted after a day, in chunks', async () => {
  await orders.writePool.query(
    `INSERT INTO idempotency_keys (key, fingerprint, order_id, created_at)
     SELECT 'old-' || n, '', n, now() - interval '25 hours' FROM generate_series(1, 1234) n`,
  );
  const key = randomUUID();
  const { body } = await post(key);
  assert.equal(await forgetOldKeys(orders.writePool), 1234);
  assert.equal((await post(key)).body.id, body.id);
});
