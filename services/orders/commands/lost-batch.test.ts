import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { createPool, isOutcomeUnknown, isUnavailable } from '#platform/postgres';
import type { Pool } from '#platform/postgres';
import { startCuttingProxy } from '#platform/postgres/testing.ts';
import type { Cut } from '#platform/postgres/testing.ts';
import { eventually } from '#test/eventually.ts';
import { newOrder } from '../domain/order.ts';
import { lamp, log, startOrders } from '../testing.ts';
import { forgetOldBatches } from './lost-batch.ts';
import { OrderPlacer } from './place.ts';

/** Orders whose connections to the write database break as the test says; `direct` is not cut. */
async function start(t: TestContext) {
  let proxy!: Awaited<ReturnType<typeof startCuttingProxy>>;
  const orders = await startOrders(t, undefined, async (url) => {
    proxy = await startCuttingProxy(url);
    return createPool({ name: 'cut', url: proxy.url, max: 4, log });
  });
  t.after(() => proxy.close());
  const stored = async () => {
    const { rows } = await orders.directPool.query<{ notes: string; id: string }>(
      `SELECT e.data->>'notes' AS notes, o.id::text FROM orders o FULL JOIN order_events e ON e.order_id = o.id
       ORDER BY notes`,
    );
    return rows;
  };
  const post = (notes: string, headers: Record<string, string> = {}) =>
    orders.send('POST', '/orders', { userId: 1, items: [lamp], notes }, headers);
  return { ...orders, proxy, stored, post };
}

/** The answer to the next batch fails without an SQLSTATE, though PostgreSQL has stored the batch. */
function failAfterCommit(t: TestContext, pool: Pool) {
  const query = pool.query.bind(pool) as (statement: object) => Promise<unknown>;
  const failing = async (statement: object) => {
    await query(statement);
    throw new TypeError('the answer cannot be read');
  };
  t.mock.method(pool, 'query', failing as never, { times: 1 });
}

const five = ['0', '1', '2', '3', '4'];

describe('a batch of orders whose connection is lost', () => {
  for (const how of [
    'answer-lost',
    'answer-garbled',
    'statement-passed',
    'statement-lost',
    'statement-late',
  ] as const) {
    it(`is stored once and answered 201: ${how}`, async (t) => {
      const { proxy, post, stored } = await start(t);
      proxy.cutAt('place-orders', how);
      const answers = await Promise.all(five.map((notes) => post(notes)));
      assert.equal(proxy.cuts, 1);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [201, 201, 201, 201, 201],
      );
      await proxy.release();
      assert.deepEqual(
        await stored(),
        answers.map(({ body: { notes, id } }) => ({ notes, id: String(id) })),
      );
    });

    it(`keeps the orders apart, and its keys: ${how}`, async (t) => {
      const { proxy, writePool, stored, send } = await start(t);
      const placer = new OrderPlacer(writePool);
      const keyOf = (i: number) => (i % 2 === 0 ? undefined : { key: `key-${i}`, fingerprint: 'f' });
      const orderOf = (notes: string) => ({ ...newOrder({ userId: 1, items: [lamp] }), notes });
      await placer.place(orderOf('earlier'), keyOf(3));
      proxy.cutAt('place-orders', how);
      const placed = await Promise.all(five.map((notes, i) => placer.place(orderOf(notes), keyOf(i))));
      await proxy.release();
      assert.equal(proxy.cuts, 1);
      assert.equal(placed[3], undefined, 'its key is taken');
      const expected = five.flatMap((notes, i) => (placed[i] ? [{ notes, id: String(placed[i].id) }] : []));
      assert.deepEqual((await stored()).slice(0, -1), expected);
      const { status } = await send('POST', '/orders', { userId: 1, items: [lamp] }, { 'idempotency-key': 'key-1' });
      assert.equal(status, 422, 'the key is of another body');
    });
  }

  it('is stored once where it is 201, and never where it is 503, after any cuts', async (t) => {
    const { proxy, post, stored } = await start(t);
    const round = fc.record({
      how: fc.constantFrom<Cut>(
        'answer-lost',
        'answer-garbled',
        'statement-passed',
        'statement-lost',
        'statement-late',
      ),
      times: fc.nat(3),
      orders: fc.integer({ min: 1, max: 6 }),
      keyed: fc.boolean(),
      /** cuts of the question what became of the batch */
      asking: fc.constantFrom('(placer, number) VALUES', 'COMMIT'),
      askingHow: fc.constantFrom<Cut>('answer-lost', 'statement-lost'),
      askingTimes: fc.nat(2),
    });
    let rounds = 0;
    await fc.assert(
      fc.asyncProperty(round, async ({ how, times, orders, keyed, asking, askingHow, askingTimes }) => {
        rounds += 1;
        const all = Array.from({ length: orders }, (_, i) => `${rounds}-${i}`);
        proxy.heal();
        proxy.cutAt('place-orders', how, times);
        proxy.cutAt(asking, askingHow, askingTimes);
        const answers = await Promise.all(
          all.map((notes) => post(notes, keyed ? { 'idempotency-key': notes } : undefined)),
        );
        await proxy.release();
        // on a slow machine the time to find out can be up: 504 says so
        for (const { status } of answers) assert.ok([201, 503, 504].includes(status), String(status));
        const known = all.filter((_, i) => answers[i]!.status !== 504);
        const expected = answers.flatMap(({ status, body }, i) =>
          status === 201 ? [{ notes: all[i]!, id: String(body.id) }] : [],
        );
        assert.deepEqual(
          (await stored()).filter(({ notes }) => known.includes(notes)),
          expected,
        );
      }),
      { numRuns: 40 },
    );
  });

  it('is 503 if it is lost again and again, and it is known that nothing is stored', async (t) => {
    const { proxy, post, stored } = await start(t);
    proxy.cutAt('place-orders', 'statement-lost', 2);
    const { status, headers } = await post('x');
    assert.equal(status, 503);
    assert.ok(headers.get('retry-after'));
    assert.deepEqual(await stored(), []);
    assert.equal((await post('y')).status, 201);
  });

  it('is 504 if nobody can say what became of it, and does not hold up the next ones', async (t) => {
    const { proxy, post, stored, directPool } = await start(t);
    await directPool.query(`
      CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        IF new.data->>'notes' = 'wait' THEN PERFORM pg_advisory_xact_lock(7); END IF;
        RETURN new;
      END $$;
      CREATE TRIGGER wait AFTER INSERT ON order_events FOR EACH ROW EXECUTE FUNCTION wait()`);
    const other = await directPool.connect();
    await other.query('SELECT pg_advisory_lock(7)');
    proxy.cutAt('place-orders', 'statement-passed');
    const answer = await post('wait');
    assert.equal(answer.status, 504);
    assert.equal(answer.body['type'], 'urn:millrace:problem:outcome-unknown');
    assert.equal(answer.headers.get('retry-after'), null);
    assert.equal((await post('next')).status, 201);
    assert.equal((await stored()).length, 1);
    await other.query('SELECT pg_advisory_unlock(7)');
    other.release();
    await eventually(async () => (await stored()).length === 2, 'the lost order is committed after all');
  });

  it('is stored once after any error without an SQLSTATE, and 504 if nobody can say what became of it', async (t) => {
    const { proxy, writePool, post, stored } = await start(t);
    failAfterCommit(t, writePool);
    const answers = await Promise.all(five.map((notes) => post(notes)));
    const expected = answers.map(({ body: { notes, id } }) => ({ notes, id: String(id) }));
    assert.deepEqual(await stored(), expected);
    failAfterCommit(t, writePool);
    proxy.cutAt('(placer, number) VALUES', 'statement-lost', 1_000);
    const { status, body } = await post('5');
    assert.deepEqual([status, body['type']], [504, 'urn:millrace:problem:outcome-unknown']);
    assert.equal((await stored()).length, 6);
  });

  it('does not send the orders one by one', async (t) => {
    const { proxy, writePool } = await start(t);
    const placer = new OrderPlacer(writePool);
    proxy.cutAt('place-orders', 'statement-lost', 1_000);
    const results = await Promise.allSettled(five.map(() => placer.place(newOrder({ userId: 1, items: [lamp] }))));
    for (const result of results) {
      assert.ok(result.status === 'rejected' && isUnavailable(result.reason) && !isOutcomeUnknown(result.reason));
    }
    assert.equal(proxy.cuts, 2);
  });
});

describe('a command on one order whose connection is lost', () => {
  it('is 504, never 503, and takes effect at most once', async (t) => {
    const { proxy, post, send, events } = await start(t);
    const { id } = (await post('x')).body;
    const setStatus = () => send('PUT', `/orders/${id}/status`, { status: 'CONFIRMED' });
    const remove = () => send('DELETE', `/orders/${id}`);
    for (const [text, command, then] of [
      ['set-order-status', setStatus, 409],
      ['delete-order', remove, 404],
    ] as const) {
      for (const [how, next] of [
        ['statement-lost', undefined],
        ['answer-lost', then],
      ] as const) {
        proxy.cutAt(text, how);
        const answer = await command();
        assert.deepEqual([answer.status, answer.headers.get('retry-after')], [504, null], `${text} ${how}`);
        assert.equal(answer.body['type'], 'urn:millrace:problem:outcome-unknown');
        if (next !== undefined) assert.equal((await command()).status, next);
      }
    }
    assert.deepEqual(
      (await events()).map(({ type }) => type),
      ['order.created', 'order.status-changed', 'order.deleted'],
    );
  });

  it('is 503 if only a query was lost', async (t) => {
    const { proxy, post, stored } = await start(t);
    const key = { 'idempotency-key': 'k' };
    assert.equal((await post('x', key)).status, 201);
    proxy.cutAt('order-of-key', 'answer-lost');
    assert.equal((await post('x', key)).status, 503);
    assert.equal((await post('x', key)).status, 201);
    assert.equal((await stored()).length, 1);
  });
});

it('the last batches of processes that have ended leave after a day', async (t) => {
  const { post, directPool } = await start(t);
  await post('x');
  await directPool.query(
    `INSERT INTO last_batches (placer, number, placed_at) VALUES (gen_random_uuid(), 1, now() - interval '25 hours')`,
  );
  await post('y');
  await forgetOldBatches(directPool);
  const { rows } = await directPool.query('SELECT number, cardinality(order_ids) AS orders FROM last_batches');
  assert.deepEqual(rows, [{ number: '2', orders: 1 }], 'a row for each process, not for each batch');
});
