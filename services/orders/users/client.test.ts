import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { Problem } from '#platform/http';
import { UserServiceClient } from './client.ts';

const log = pino({ level: 'silent' });

/** A users service with the answers of the test, and a client of it. */
async function usersService(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url!);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new UserServiceClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, log });
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, paths, server };
}

const ada = { id: 7, username: 'ada', email: 'ada@example.org', firstName: 'Ada', lastName: 'L', status: 'ACTIVE' };

const sendJson = (response: ServerResponse, body: unknown, status = 200) =>
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));

const unreachable = (error: unknown) =>
  error instanceof Problem && error.status === 503 && Number(error.headers['Retry-After']) > 0;

test('a user is looked up once, until the cache forgets it', async (t) => {
  const { client, paths } = await usersService(t, (_, response) => sendJson(response, ada));
  assert.deepEqual(await client.find(7), { username: 'ada', email: 'ada@example.org' });
  await client.find(7);
  assert.deepEqual(paths, ['/users/7']);
  client.forget(7);
  await client.find(7);
  assert.deepEqual(paths, ['/users/7', '/users/7']);
  client.forgetAll();
  await client.find(7);
  assert.deepEqual(paths, ['/users/7', '/users/7', '/users/7']);
});

test('a user that does not exist is undefined and is looked up again', async (t) => {
  const { client, paths } = await usersService(t, (_, response) => sendJson(response, {}, 404));
  assert.equal(await client.find(8), undefined);
  assert.equal(await client.find(8), undefined);
  assert.equal(paths.length, 2);
});

test('a lookup is retried once after a lost connection', async (t) => {
  let first = true;
  const { client, paths } = await usersService(t, (request, response) => {
    if (first) request.socket.destroy();
    else sendJson(response, ada);
    first = false;
  });
  assert.deepEqual(await client.find(7), { username: 'ada', email: 'ada@example.org' });
  assert.equal(paths.length, 2);
});

test('a service that is down is a 503 with Retry-After', async (t) => {
  const { client, server } = await usersService(t, () => undefined);
  server.close();
  await once(server, 'close');
  await assert.rejects(client.find(7), unreachable);
});

test('a service that does not answer is a 503 after a second', async (t) => {
  const { client } = await usersService(t, () => undefined);
  const startedAt = performance.now();
  await assert.rejects(client.find(7), unreachable);
  const took = performance.now() - startedAt;
  assert.ok(took > 900 && took < 2_000, `${took} ms`);
});

test('a service that keeps failing opens the circuit, which closes when the service works again', async (t) => {
  let broken = true;
  const { client, paths } = await usersService(t, (_, response) => sendJson(response, ada, broken ? 500 : 200));
  for (let id = 1; id <= 20; id++) await assert.rejects(client.find(id), unreachable);
  assert.ok(paths.length < 20, `${paths.length} requests`);
  broken = false;
  const deadline = performance.now() + 10_000;
  let user;
  while (!user && performance.now() < deadline) {
    user = await client.find(7).catch(() => undefined);
    await setImmediate();
  }
  assert.equal(user?.username, 'ada');
});

test('a response that is not a user is a 503, not a user without a name', async (t) => {
  const { client } = await usersService(t, (_, response) => sendJson(response, { id: 7 }));
  await assert.rejects(client.find(7), unreachable);
});

test('a lookup above the limit is a 503 at once', async (t) => {
  const { client } = await usersService(t, () => undefined);
  const underWay = Array.from({ length: 256 }, (_, id) => client.find(id + 1).catch(() => 'late'));
  const startedAt = performance.now();
  await assert.rejects(client.find(1_000), unreachable);
  assert.ok(performance.now() - startedAt < 900, 'before the lookups in flight time out');
  await Promise.all(underWay);
});
