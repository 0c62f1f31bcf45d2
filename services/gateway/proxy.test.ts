import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { bodyLimit } from '#platform/http';
import { raw, startGateway, startUpstream, textOf } from './testing.ts';
import { eventually } from '#test/eventually.ts';

const json = { 'content-type': 'application/json' };

/** A request body whose length is not declared. */
const chunked = (...parts: (string | Buffer)[]) => ({
  body: Readable.toWeb(Readable.from(parts.map((part) => Buffer.from(part)))) as NonNullable<RequestInit['body']>,
  duplex: 'half' as const,
});

const expecting = (length: number) =>
  `POST /api/orders HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

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
    const head = `POST /api/orders HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n`;
    assert.match(await raw(gateway.port, head, 'a'.repeat(100_000)), /^HTTP\/1.1 413 /);
  });

  it('with Expect are requested only if the gateway reads them', async (t) => {
    const upstream = await startUpstream(t, async (request, response) => response.end(await textOf(request)));
    const gateway = await startGateway(t, upstream.url);
    const refused = await raw(gateway.port, expecting(bodyLimit + 1));
    assert.match(refused, /^HTTP\/1.1 413 /);
    assert.match(await raw(gateway.port, expecting(2), 'ok'), /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK[^]*ok$/);
  });

  it('of a client that disconnects never reach the service in part', async (t) => {
    let calls = 0;
    let broken = 0;
    const upstream = await startUpstream(t, (request) => {
      calls += 1;
      request.once('error', () => (broken += 1));
      request.resume();
    });
    const gateway = await startGateway(t, upstream.url);
    const leave = (head: string, part: string) => {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(`POST /api/orders HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${part}`);
      return socket;
    };
    const small = leave('Content-Length: 100', 'half');
    const large = leave('Content-Length: 100000', 'half');
    await eventually(() => calls === 1);
    small.destroy();
    large.destroy();
    await eventually(() => broken === 1);
    assert.equal(calls, 1, 'the gateway reads a small body before it calls the service');
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
