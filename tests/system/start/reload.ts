import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { eventually } from '#test/eventually.ts';
import { root, untilPrinted, withinMs } from '#test/npm-start.ts';
import { isReady, touch, untilReplaced } from './change.ts';
import type { StartedPlatform } from './platform.ts';

const ORDERS_MAIN = 'services/orders/main.ts';
/** It takes about 0.7 s; the machine may be busy. */
const SERVED_WITHIN_MS = 30_000;

const names = eventServices().map(({ metadata }) => metadata.name);
const jsonType = { 'Content-Type': 'application/json' };

/** A user for the orders of this test only. */
async function register(platform: StartedPlatform): Promise<{ id: number; email: string }> {
  const username = `reload${randomUUID().slice(0, 8)}`;
  const user = { username, email: `${username}@example.com`, firstName: 'Re', lastName: 'Load' };
  const answer = await fetch(`${platform.url('gateway')}/api/users`, {
    method: 'POST',
    headers: jsonType,
    body: JSON.stringify(user),
  });
  assert.equal(answer.status, 201);
  return (await answer.json()) as { id: number; email: string };
}

async function post(platform: StartedPlatform, userId: number, key: string): Promise<Response> {
  const items = [{ productId: 1, productName: 'Scales', quantity: 1, unitPrice: 9.5, totalPrice: 9.5 }];
  return await fetch(`${platform.url('gateway')}/api/orders`, {
    method: 'POST',
    headers: { ...jsonType, 'Idempotency-Key': key },
    body: JSON.stringify({ userId, items }),
  });
}

/** A client that places one order after the other and reads it back, and repeats unacknowledged requests. */
async function placeOrders(platform: StartedPlatform, userId: number, isOver: () => boolean) {
  const acknowledged: number[] = [];
  const refused: number[] = [];
  while (!isOver()) {
    const key = randomUUID();
    let id = 0;
    const take = async (): Promise<boolean> => {
      const answer = await post(platform, userId, key);
      ({ id } = (await answer.json()) as { id: number });
      if (answer.status !== 201) refused.push(answer.status);
      return answer.status === 201;
    };
    await eventually(take, () => 'an order to be taken', withinMs);
    acknowledged.push(id);
    await eventually(
      async () => (await get(`${platform.url('gateway')}/api/orders/${id}?minVersion=1`)).ok,
      () => `order ${id} to be read back`,
      withinMs,
    );
  }
  return { acknowledged, refused };
}

async function get(url: string): Promise<{ ok: boolean; body: unknown }> {
  const answer = await fetch(url);
  return { ok: answer.ok, body: await answer.json() };
}

/** A service is reloaded when its source changes. */
export function reloadTests(platform: StartedPlatform): void {
  const main = join(platform.clone, ORDERS_MAIN);

  test('reloads only that service; orders of that time and their effects exist once', async (t) => {
    const { id: userId, email } = await register(platform);
    const others = names.filter((name) => name !== 'orders');
    const pids = others.map((name) => platform.servicePid(name));
    let isOver = false;
    const clients = [0, 1].map(() => placeOrders(platform, userId, () => isOver));
    const served: number[] = [];
    for (let round = 0; round < 3; round += 1)
      served.push(await untilReplaced(platform, ['orders'], () => touch(platform, ORDERS_MAIN)));
    isOver = true;
    const results = await Promise.all(clients);
    const placed = results.flatMap(({ acknowledged }) => acknowledged).toSorted((a, b) => a - b);
    const refused = results.flatMap((result) => result.refused);
    t.diagnostic(
      `served again ${served.map((ms) => Math.round(ms)).join(', ')} ms after the save; ` +
        `${placed.length} orders placed meanwhile, ${refused.length} requests repeated`,
    );
    // 504 is possible: the old process may end an idle connection that a request is on its way on
    assert.ok(!refused.includes(503), 'the gateway waits while nobody listens');
    assert.ok(Math.min(...served) < SERVED_WITHIN_MS, `${served.join(', ')} ms`);
    assert.deepEqual(
      others.map((name) => platform.servicePid(name)),
      pids,
    );

    assert.equal(new Set(placed).size, placed.length);
    for (const id of placed) {
      const { body } = await get(`${platform.url('gateway')}/api/orders/${id}/events`);
      assert.equal((body as unknown[]).length, 1);
    }
    const mails = async (): Promise<string[]> => {
      const { body } = await get(`${platform.mail()}/api/messages?to=${email}&limit=1000`);
      return (body as { subject: string }[]).map(({ subject }) => subject).filter((text) => text.startsWith('Order '));
    };
    await eventually(
      async () => (await mails()).length >= placed.length,
      () => 'a mail for each order',
      withinMs,
    );
    assert.deepEqual((await mails()).toSorted(), placed.map((id) => `Order ${id} received`).toSorted());
  });

  test('reloads all services that share the source', async (t) => {
    const shared = relative(root, fileURLToPath(import.meta.resolve('#platform/lifecycle')));
    const served = await untilReplaced(platform, names, () => touch(platform, shared));
    t.diagnostic(`all served again ${Math.round(served)} ms after the save`);
  });

  test('keeps the running process while the source has a mistake, and reports it once', async () => {
    const source = readFileSync(main, 'utf8');
    const pid = platform.servicePid('orders');
    const { length } = platform.run().output();
    writeFileSync(main, `${source}\n}`);
    await untilPrinted(platform.run(), 'orders keeps the old process until its source changes', length);
    assert.equal(platform.servicePid('orders'), pid);
    assert.ok(await isReady(platform, 'orders'));
    await untilReplaced(platform, ['orders'], () => writeFileSync(main, source));
    assert.equal(platform.run().output().slice(length).split('SyntaxError').length, 2);
  });

  test('restarts a service that cannot start with the next save', async () => {
    const source = readFileSync(main, 'utf8');
    const { length } = platform.run().output();
    writeFileSync(main, `${source}\nthrow new Error('not today');\n`);
    await untilPrinted(platform.run(), 'orders is down until its source changes', length);
    const answer = await post(platform, 1, randomUUID());
    assert.equal(answer.status, 503);
    assert.ok(answer.headers.has('retry-after'));
    writeFileSync(main, source);
    await eventually(
      () => isReady(platform, 'orders'),
      () => 'orders',
      withinMs,
    );
  });
}
