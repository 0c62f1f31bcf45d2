import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { json } from 'node:stream/consumers';
import { promisify } from 'node:util';

const script = fileURLToPath(new URL('place-order.mjs', import.meta.url));

/**
 * Runs the script of `helm test` on a gateway that answers each command with these failures first, which took effect.
 * @param tokens the one that the gateway asks for, and that of the script
 */
async function placeOrder(failures: number[], tokens: { asked?: string; given?: string } = {}) {
  const users = new Map<string, number>();
  const orders = new Map<string, number>();
  const attempts: Record<string, number> = {};
  const server = createServer((request, response) => {
    void (async () => {
      const answer = (status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
      if (tokens.asked && request.headers.authorization !== `Bearer ${tokens.asked}`) return answer(401, {});
      const [path] = request.url!.split('?');
      const failure = failures[(attempts[path!] = (attempts[path!] ?? 0) + 1) - 1];
      if (request.method === 'GET') {
        const username = [...users.keys()].at(-1);
        return failure ? answer(failure, {}) : answer(200, { id: 1, totalAmount: 1200, userUsername: username });
      }
      const body = (await json(request)) as { username: string };
      const known = path === '/api/users' ? users : orders;
      const key = path === '/api/users' ? body.username : (request.headers['idempotency-key'] as string);
      if (path === '/api/users' && known.has(key)) return answer(409, {});
      if (!known.has(key)) known.set(key, known.size + 1);
      return failure ? answer(failure, {}) : answer(201, { id: known.get(key), version: 1, username: key });
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const env = { ...process.env, GATEWAY_URL: `http://127.0.0.1:${port}`, GATEWAY_TOKEN: tokens.given ?? '' };
    const { stdout } = await promisify(execFile)(process.execPath, [script], { env });
    return { stdout, orders: orders.size };
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('the helm test goes on after a service that is not ready, and places one order', async () => {
  const { stdout, orders } = await placeOrder([503, 504]);
  assert.match(stdout, /order 1 is read back: 1200 by helm-test-/);
  assert.equal(orders, 1);
});

test('the helm test fails at once where a service refuses', async () => {
  await assert.rejects(placeOrder([422]), /POST \/api\/users: 422/);
});

test('the helm test gives its token to a gateway that asks for one', async () => {
  const { stdout, orders } = await placeOrder([], { asked: 'secret', given: 'secret' });
  assert.match(stdout, /order 1 is read back/);
  assert.equal(orders, 1);
  await assert.rejects(placeOrder([], { asked: 'secret', given: 'other' }), /POST \/api\/users: 401/);
});

test('the helm test without a token ends with the answer of a gateway that asks for one', async () => {
  const { stdout, orders } = await placeOrder([503], { asked: 'secret' });
  assert.match(stdout, /the gateway answers, and asks for a token: test\.tokenSecret/);
  assert.equal(orders, 0);
});
