import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as startRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Health } from '#platform/health';
import { ProblemLog, bodyLimit, createHttpServer } from '#platform/http';
import { createLogger } from '#platform/telemetry';
import { BodyBudget } from './body-budget.ts';
import { Proxy } from './proxy.ts';
import { StreamShares } from './stream-shares.ts';
import { Upstream } from './upstream.ts';
import { contracts, raw, startGateway, startUpstream, textOf } from './testing.ts';
import { eventually } from '#test/eventually.ts';

const json = { 'content-type': 'application/json' };

/** A request body whose length is not declared. */
const chunked = (...parts: (string | Buffer)[]) => ({
  body: Readable.toWeb(Readable.from(parts.map((part) => Buffer.from(part)))) as NonNullable<RequestInit['body']>,
  duplex: 'half' as const,
});

const expecting = (length: number) =>
  `POST /api/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

const chunkedHead = 'Transfer-Encoding: chunked\r\n\r\n';

/** Opens connections that send the same, and stay open until the end of the test. */
async function openAll(t: TestContext, port: number, count: number, bytes: string): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => new Promise((sent) => socket.write(bytes, sent))));
  return sockets;
}

/** The status of a POST to orders from an address of this machine. */
async function statusFrom(localAddress: string, port: number, body: string): Promise<number> {
  const post = startRequest({
    host: '127.0.0.1',
    port,
    localAddress,
    method: 'POST',
    path: '/api/orders',
    agent: false,
  });
  const [answer] = (await once(post.end(body), 'response')) as [IncomingMessage];
  answer.resume();
  return answer.statusCode!;
}

/** How many senders have left before the answer to their POST, as far as the gateway has noticed. */
async function gone(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const line = /^millrace_http_request_seconds_count\{method="POST",route="\/api\/orders",status="499"\} (\d+)/m;
  return Number(line.exec(metrics)?.[1] ?? 0);
}

describe('targets', () => {
  it('that are malformed never open a circuit', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.end('ok'));
    const gateway = await startGateway(t, upstream.url, { limits: { breaker: { failures: 1, pauseMs: 60_000 } } });
    for (const target of ['*/api/orders', '*/api/orders', '*/api/orders', '/api/users/1#x', '/api/users/\t1']) {
      const answer = await raw(gateway.port, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
      assert.match(answer, /^HTTP\/1.1 400 [^]*"status":400/, target);
    }
    for (const path of ['/api/orders', '/api/users/1']) assert.equal((await fetch(gateway.url + path)).status, 200);
  });

  it('that only undici refuses are a fault of the client, too', async (t) => {
    const url = 'http://127.0.0.1:9';
    const breaker = { failures: 1, pauseMs: 60_000 };
    const upstreams = new Map(contracts.contracts.map(({ name }) => [name, new Upstream(name, url, { breaker })]));
    const log = createLogger('gateway', 'silent');
    const proxy = new Proxy({
      ...contracts,
      upstreams,
      health: new Health(),
      problems: new ProblemLog(log),
      trustProxy: false,
      shares: new StreamShares(),
    });
    const server = await startUpstream(t, (request, response) => {
      request.url = '/api/users/1 x';
      proxy.handle(request, response);
    });
    assert.equal((await fetch(server.url)).status, 400);
    assert.equal(upstreams.get('users')!.breaker.state, 'closed');
  });

  it('in absolute form are mapped, as those of a client with this gateway as its proxy', async (t) => {
    const upstream = await startUpstream(t, ({ url, headers }, response) => {
      response.end(`${url} ${String(headers['x-forwarded-host'])}`);
    });
    const { port } = await startGateway(t, upstream.url);
    const target = `http://localhost:${port}/api/users?a=b`;
    const answer = await raw(port, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 200 OK/);
    assert.ok(answer.endsWith(`/users?a=b localhost:${port}`), answer);
  });
});

describe('a head that the gateway takes', () => {
  it('is not too large for the service with the headers that the gateway adds', async (t) => {
    const service = createHttpServer((_, response) => response.end('ok'), new Health());
    t.after(() => service.close());
    const gateway = await startGateway(t, `http://127.0.0.1:${await service.listen(0, '127.0.0.1')}`);
    const status = async (size: number) => {
      const head = `GET /api/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-A: `;
      const answer = await raw(gateway.port, `${head}${'a'.repeat(size - head.length)}\r\n\r\n`);
      return answer.split('\r\n')[0];
    };
    assert.equal(await status(15_000), 'HTTP/1.1 200 OK');
    assert.equal(await status(16_250), 'HTTP/1.1 431 Request Header Fields Too Large');
  });
});

describe('proxy', () => {
  it('forwards method, path, query, headers and body, and returns the answer', async (t) => {
    const upstream = await startUpstream(t, async (request, response) => {
      const body = await textOf(request);
      response.writeHead(201, {
        ...json,
        Location: '/orders/5',
        ETag: '"1"',
        'X-Seen': '1',
        Connection: 'x-hop',
        'x-hop': '1',
      });
      response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
    });
    const gateway = await startGateway(t, upstream.url);
    const response = await fetch(`${gateway.url}/api/orders?a=%20b`, {
      method: 'POST',
      headers: { ...json, 'Idempotency-Key': 'k' },
      body: '{"n":1}',
    });
    assert.equal(response.status, 201);
    assert.equal(response.headers.get('location'), '/api/orders/5');
    assert.equal(response.headers.get('etag'), '"1"');
    assert.equal(response.headers.get('x-seen'), '1');
    assert.equal(response.headers.get('x-hop'), null);
    const seen = (await response.json()) as { headers: Record<string, string> };
    assert.deepEqual(
      { ...seen, headers: undefined },
      { method: 'POST', url: '/orders?a=%20b', headers: undefined, body: '{"n":1}' },
    );
    assert.equal(seen.headers['idempotency-key'], 'k');
    assert.equal(seen.headers['content-length'], '7');
    assert.equal(seen.headers['host'], new URL(upstream.url).host);
    assert.equal(seen.headers['x-forwarded-host'], new URL(gateway.url).host);
    assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
  });

  it('continues the trace of the request and names it in the answer', async (t) => {
    const upstream = await startUpstream(t, (request, response) => response.end(request.headers['traceparent']));
    const gateway = await startGateway(t, upstream.url);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const response = await fetch(`${gateway.url}/api/users/1`, {
      headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
    });
    assert.equal(response.headers.get('x-trace-id'), traceId);
    assert.match(await response.text(), new RegExp(`^00-${traceId}-[0-9a-f]{16}-0[01]$`));
  });

  it('reaches each service, analytics under both addresses', async (t) => {
    const addresses: Record<string, string> = {};
    for (const name of ['users', 'orders', 'notifications', 'analytics']) {
      addresses[name] = (await startUpstream(t, (request, response) => response.end(`${name} ${request.url}`))).url;
    }
    const gateway = await startGateway(t, addresses['users']!, { addresses: addresses as never });
    const text = async (path: string) => (await fetch(gateway.url + path)).text();
    assert.equal(await text('/api/users/username/ada'), 'users /users/username/ada');
    assert.equal(await text('/api/orders/1/events'), 'orders /orders/1/events');
    assert.equal(await text('/api/notifications'), 'notifications /notifications');
    assert.equal(await text('/api/analytics/dashboard'), 'analytics /analytics/dashboard');
    assert.equal(await text('/analytics/dashboard'), 'analytics /analytics/dashboard');
  });

  it('keeps addresses of analytics under the prefix of the request', async (t) => {
    const upstream = await startUpstream(t, (_, response) => {
      response.writeHead(200, { Link: '</analytics/alerts?cursor=1>; rel="next"' }).end('[]');
    });
    const gateway = await startGateway(t, upstream.url);
    const link = async (path: string) => (await fetch(gateway.url + path)).headers.get('link');
    assert.equal(await link('/analytics/alerts'), '</analytics/alerts?cursor=1>; rel="next"');
    assert.equal(await link('/api/analytics/alerts'), '</api/analytics/alerts?cursor=1>; rel="next"');
  });

  it('passes through problems of the service and empty answers', async (t) => {
    const upstream = await startUpstream(t, (request, response) => {
      if (request.method === 'DELETE') response.writeHead(204).end();
      else if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '42' }).end();
      else response.writeHead(400, { 'content-type': 'application/problem+json' }).end('{"title":"malformed"}');
    });
    const gateway = await startGateway(t, upstream.url);
    const malformed = await fetch(`${gateway.url}/api/orders`, { method: 'POST', headers: json, body: '{' });
    assert.deepEqual([malformed.status, await malformed.text()], [400, '{"title":"malformed"}']);
    const deleted = await fetch(`${gateway.url}/api/orders/1`, { method: 'DELETE' });
    assert.deepEqual([deleted.status, await deleted.text()], [204, '']);
    const head = await fetch(`${gateway.url}/api/orders/1`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, '42']);
  });

  it('answers 404 for an unknown path, 405 with Allow for a wrong method', async (t) => {
    const gateway = await startGateway(t, 'http://127.0.0.1:9');
    for (const path of ['/orders', '/api/unknown', '/api/orders//events', '/etc/passwd']) {
      const response = await fetch(gateway.url + path);
      assert.equal(response.status, 404);
      assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
      const problem = (await response.json()) as Record<string, unknown>;
      assert.deepEqual([problem['status'], problem['instance']], [404, path]);
    }
    const patched = await fetch(`${gateway.url}/api/orders/5`, { method: 'PATCH', body: 'x' });
    assert.equal(patched.status, 405);
    assert.equal(patched.headers.get('allow'), 'DELETE, GET, HEAD, OPTIONS');
    assert.equal(((await patched.json()) as { status: number }).status, 405);
    const options = await fetch(`${gateway.url}/api/orders`, { method: 'OPTIONS' });
    assert.deepEqual([options.status, options.headers.get('allow')], [204, 'POST, GET, HEAD, OPTIONS']);
  });
});

describe('bodies', () => {
  it('pass through whole, declared or chunked, up to the limit', async (t) => {
    const upstream = await startUpstream(t, async (request, response) => {
      const text = await textOf(request);
      response.end(`${text.length} ${text.slice(-1)}`);
    });
    const gateway = await startGateway(t, upstream.url);
    const post = async (init: RequestInit) =>
      (await fetch(`${gateway.url}/api/orders`, { method: 'POST', ...init })).text();
    for (const size of [1, 1_000, 64 * 1024, 64 * 1024 + 1, bodyLimit]) {
      const body = 'a'.repeat(size - 1) + 'z';
      assert.equal(await post({ body }), `${size} z`);
      assert.equal(await post(chunked(body.slice(0, 10), body.slice(10))), `${size} z`);
    }
    assert.equal(await post({}), '0 ');
  });

  it('over the limit are refused by the gateway, declared or chunked', async (t) => {
    const finished: number[] = [];
    const upstream = await startUpstream(t, (request, response) => {
      request.on('error', () => {});
      void textOf(request).then(
        (text) => {
          finished.push(text.length);
          response.end();
        },
        () => {},
      );
    });
    const gateway = await startGateway(t, upstream.url);
    const over = 'a'.repeat(bodyLimit + 1);
    for (const init of [{ body: over }, chunked(over), chunked(over.slice(0, -1), 'aa')]) {
      const response = await fetch(`${gateway.url}/api/orders`, { method: 'POST', ...init });
      assert.equal(response.status, 413);
      assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.equal(((await response.json()) as { status: number }).status, 413);
    }
    assert.deepEqual(finished, [], 'the service must not get the whole body');
  });

  it('far over the limit are refused before their end', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.end());
    const gateway = await startGateway(t, upstream.url);
    const head = `POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n`;
    assert.match(await raw(gateway.port, head, 'a'.repeat(100_000)), /^HTTP\/1.1 413 /);
  });

  it('with Expect are requested only if the gateway reads them', async (t) => {
    const upstream = await startUpstream(t, async (request, response) => response.end(await textOf(request)));
    const gateway = await startGateway(t, upstream.url);
    const refused = await raw(gateway.port, expecting(bodyLimit + 1));
    assert.match(refused, /^HTTP\/1.1 413 /);
    assert.match(await raw(gateway.port, expecting(2), 'ok'), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK[^]*ok$/);
  });

  it('of a client that disconnects never reach the service', async (t) => {
    const calls: string[] = [];
    const upstream = await startUpstream(t, (request, response) => (calls.push(request.method!), response.end()));
    const gateway = await startGateway(t, upstream.url, { limits: { breaker: { failures: 1, pauseMs: 60_000 } } });
    const before = await gone(gateway.url);
    const parts = [
      'Content-Length: 100\r\n\r\nhalf',
      'Content-Length: 100000\r\n\r\nhalf',
      `${chunkedHead}4\r\nhalf\r\n`,
    ];
    for (const part of parts) {
      const socket = connect(gateway.port, '127.0.0.1').on('error', () => {});
      socket.write(`POST /api/orders HTTP/1.1\r\nHost: localhost\r\n${part}`, () => socket.destroy());
    }
    await eventually(async () => (await gone(gateway.url)) === before + parts.length);
    assert.deepEqual(calls, []);
    assert.equal((await fetch(`${gateway.url}/api/orders`)).status, 200);
  });

  it('that are not there hold no permit', async (t) => {
    const upstream = await startUpstream(
      t,
      (request, response) => void request.resume().once('end', () => response.end()),
    );
    const gateway = await startGateway(t, upstream.url, { limits: { maxInFlight: 4 } });
    const silent = await openAll(
      t,
      gateway.port,
      16,
      `POST /api/orders HTTP/1.1\r\nHost: localhost\r\n${chunkedHead}1\r\n{\r\n`,
    );
    const open = async () => {
      const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
      return /^millrace_gateway_in_flight\{upstream="orders",kind="call"\} (\d+)/m.exec(metrics)?.[1];
    };
    for (let i = 0; i < 8; i += 1) {
      assert.equal((await fetch(`${gateway.url}/api/orders`, { method: 'POST', body: '{}' })).status, 200);
    }
    assert.equal(await open(), '0');
    assert.ok(silent.every(({ destroyed }) => !destroyed));
    for (const socket of silent) socket.destroy();
  });

  it('that are half sent take a share of the memory at most', async (t) => {
    const upstream = await startUpstream(t, async (request, response) =>
      response.end((await textOf(request)).length + ''),
    );
    const bodies = new BodyBudget(1024 * 1024, 256 * 1024);
    const gateway = await startGateway(t, upstream.url, { bodies });
    const half = `POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n${'a'.repeat(60_000)}`;
    const sockets = await openAll(t, gateway.port, 40, half);
    let refused = '';
    for (const socket of sockets) socket.setEncoding('utf8').once('data', (text) => (refused ||= String(text)));
    await eventually(() => refused !== '');
    assert.match(refused, /^HTTP\/1.1 429 [^]*Retry-After: 1[^]*"status":429/);
    assert.ok(bodies.taken <= 256 * 1024, `${bodies.taken}`);
    const post = (localAddress: string, size: number) => statusFrom(localAddress, gateway.port, 'a'.repeat(size));
    assert.equal(await post('127.0.0.1', 1_000), 200, 'a small body that arrives at once is not counted');
    assert.equal(await post('127.0.0.2', 200_000), 200, 'another client has a share of its own');
    for (const socket of sockets) socket.destroy();
    await eventually(() => bodies.taken === 0);
    assert.equal(await post('127.0.0.1', 200_000), 200);
    await eventually(() => bodies.taken === 0);
  });

  it('in many small parts take the memory of their bytes', async (t) => {
    const upstream = await startUpstream(t, async (request, response) => response.end(await textOf(request)));
    const bodies = new BodyBudget();
    const gateway = await startGateway(t, upstream.url, { bodies });
    const head = `POST /api/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${chunkedHead}`;
    const answer = await raw(gateway.port, head, '1\r\na\r\n'.repeat(10_000), '0\r\n\r\n');
    assert.match(answer, /\r\n\r\na{10000}$/);
    await eventually(() => bodies.taken === 0);
  });
});

describe('a client that does not read its answer', () => {
  it('loses its connection and its permit, which is no failure of the service', async (t) => {
    const upstream = await startUpstream(t, (request, response) => {
      if (request.url === '/orders') response.end(Buffer.alloc(32 * 1024 * 1024));
      else response.end('ok');
    });
    const limits = { maxInFlight: 1, breaker: { failures: 1, pauseMs: 60_000 } };
    const gateway = await startGateway(t, upstream.url, { limits, unreadMs: 50 });
    const [deaf] = await openAll(t, gateway.port, 1, 'GET /api/orders HTTP/1.1\r\nHost: localhost\r\n\r\n');
    deaf!.pause();
    await eventually(async () => (await fetch(`${gateway.url}/api/orders/1`)).status === 200);
  });
});

describe('limits', () => {
  it('limit the requests of a client, if configured', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.end());
    const gateway = await startGateway(t, upstream.url, { rateLimit: 2 });
    const answers = [];
    for (let i = 0; i < 3; i += 1) answers.push(await fetch(`${gateway.url}/api/orders`));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 429],
    );
    assert.equal(answers[2]!.headers.get('retry-after'), '1');
    assert.equal((await fetch(`${gateway.url}/livez`)).status, 200);
  });
});
