import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startGateway, startUpstream, textOf, unusedUrl } from './testing.ts';
import { eventually } from '#test/eventually.ts';
import { startWithFullBacklog } from '#test/full-backlog.ts';

async function problem(response: Response) {
  assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
  const body = (await response.json()) as { type: string; status: number; detail: string };
  assert.equal(body.status, response.status);
  assert.ok(response.headers.get('x-trace-id'), 'a refused request has a trace, too');
  return { type: body.type, status: body.status, detail: body.detail, retryAfter: response.headers.get('retry-after') };
}

const post = (url: string) => fetch(`${url}/api/orders`, { method: 'POST', body: '{}' });
const get = (url: string) => fetch(`${url}/api/orders/1`);

/** How many calls to orders were made again. */
async function metric(url: string, pattern: RegExp): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(pattern.exec(metrics)?.[1] ?? 0);
}

const retries = (url: string) => metric(url, /^millrace_gateway_retries_total\{upstream="orders"\} (\d+)/m);
/** how many senders have left before the answer to their POST, as far as the gateway has noticed */
const gone = (url: string) =>
  metric(url, /^millrace_http_request_seconds_count\{method="POST",route="\/api\/orders",status="499"\} (\d+)/m);

describe('a service that is down', () => {
  it('is 503 with Retry-After at once, and back as soon as it is', async (t) => {
    const { url, port } = await unusedUrl(t);
    const gateway = await startGateway(t, url, { limits: { breaker: { failures: 3, pauseMs: 50 } } });
    const startedAt = performance.now();
    for (let i = 0; i < 20; i += 1) {
      const { status, detail, retryAfter } = await problem(await post(gateway.url));
      assert.deepEqual([status, detail], [503, 'The orders service cannot be reached']);
      // the pause grows with each failed attempt, up to 15 s
      assert.ok(Number(retryAfter) >= 1 && Number(retryAfter) <= 15, String(retryAfter));
    }
    assert.ok(performance.now() - startedAt < 20_000, 'no request waited for a connection timeout');
    await startUpstream(t, (_, response) => response.end('back'), port);
    await eventually(async () => (await post(gateway.url)).status === 200);
  });

  it('does not affect the others', async (t) => {
    const { url } = await unusedUrl(t);
    const upstream = await startUpstream(t, (_, response) => response.end('{"status":"UP","checks":{}}'));
    const gateway = await startGateway(t, upstream.url, { addresses: { orders: url } as never });
    for (let i = 0; i < 10; i += 1) await (await post(gateway.url)).text();
    assert.equal((await fetch(`${gateway.url}/api/users`)).status, 200);
    const health = await fetch(`${gateway.url}/health`);
    assert.equal(health.status, 503);
    const { status, checks } = (await health.json()) as {
      status: string;
      checks: Record<string, { status: string; reason?: string }>;
    };
    assert.equal(status, 'DOWN');
    assert.deepEqual(
      Object.entries(checks).map(([name, check]) => `${name} ${check.status} ${check.reason ?? ''}`),
      ['users UP ', 'orders DOWN connection refused', 'notifications UP ', 'analytics UP '],
    );
    assert.equal((await fetch(`${gateway.url}/readyz`)).status, 200, 'the gateway itself is ready');
  });
});

describe('a service that another process takes over', () => {
  it('gets what came while nobody listened, once', async (t) => {
    const { url, port } = await unusedUrl(t);
    const gateway = await startGateway(t, url, { limits: { breaker: { failures: 1 } } });
    const before = await retries(gateway.url);
    const answers = Array.from({ length: 10 }, () => [post(gateway.url), get(gateway.url)]).flat();
    await eventually(async () => (await retries(gateway.url)) >= before + 20);
    const methods: string[] = [];
    await startUpstream(t, (request, response) => (methods.push(request.method!), response.end('here')), port);
    for (const answer of answers) assert.equal((await answer).status, 200);
    assert.deepEqual(methods.toSorted(), [...Array<string>(10).fill('GET'), ...Array<string>(10).fill('POST')]);
  });

  it('does not get what its sender has given up', async (t) => {
    const { url, port } = await unusedUrl(t);
    const gateway = await startGateway(t, url, { limits: { maxInFlight: 1 } });
    const before = await retries(gateway.url);
    const goneBefore = await gone(gateway.url);
    const leaving = new AbortController();
    const given = fetch(`${gateway.url}/api/orders`, { method: 'POST', body: '{}', signal: leaving.signal });
    await eventually(async () => (await retries(gateway.url)) > before);
    leaving.abort();
    await assert.rejects(given);
    await eventually(async () => (await gone(gateway.url)) > goneBefore, 'the gateway has noticed');
    const methods: string[] = [];
    await startUpstream(t, (request, response) => (methods.push(request.method!), response.end('here')), port);
    await eventually(async () => (await get(gateway.url)).status === 200); // the only place is free again
    assert.deepEqual(methods, ['GET']);
  });

  it('gets a large body, too', async (t) => {
    const { url, port } = await unusedUrl(t);
    const gateway = await startGateway(t, url);
    const before = await retries(gateway.url);
    const answer = fetch(`${gateway.url}/api/orders`, { method: 'POST', body: Buffer.alloc(100_000) });
    await eventually(async () => (await retries(gateway.url)) > before);
    await startUpstream(t, async (request, response) => response.end(String((await textOf(request)).length)), port);
    assert.equal(await (await answer).text(), '100000');
  });
});

/** Calls back when undici could not connect, before the gateway learns of it. */
function onConnectError(t: TestContext, report: (code: string) => void): void {
  const channel = 'undici:client:connectError';
  const listener = (message: unknown) => report((message as { error: { code: string } }).error.code);
  subscribe(channel, listener);
  t.after(() => unsubscribe(channel, listener));
}

describe('a service that accepts no connection in time', { skip: process.platform !== 'linux' }, () => {
  it('gets what came as soon as it accepts again', async (t) => {
    const { url, accept } = await startWithFullBacklog(t);
    const gateway = await startGateway(t, url, { limits: { breaker: { failures: 1 } } });
    const failures: string[] = [];
    onConnectError(t, (code) => {
      failures.push(code);
      accept();
    });
    const answer = await post(gateway.url);
    assert.deepEqual([answer.status, await answer.text()], [200, 'here']);
    assert.deepEqual(failures, ['UND_ERR_CONNECT_TIMEOUT']);
  });
});

describe('a service that hangs', () => {
  it('is 504 in time, and then 503 at once from the open circuit', async (t) => {
    let calls = 0;
    const upstream = await startUpstream(t, () => (calls += 1));
    const limits = { headersTimeoutMs: 150, breaker: { failures: 2, pauseMs: 60_000 } };
    const gateway = await startGateway(t, upstream.url, { limits });
    const answers = await Promise.all([post(gateway.url), post(gateway.url)]);
    for (const answer of answers) {
      const { type, status, detail, retryAfter } = await problem(answer);
      assert.deepEqual([status, detail], [504, 'The orders service did not answer within 150 ms']);
      assert.deepEqual([type, retryAfter], ['urn:millrace:problem:outcome-unknown', null]);
    }
    const refused = await problem(await post(gateway.url));
    assert.equal(refused.status, 503);
    // the rest of the pause
    assert.ok(Number(refused.retryAfter) > 0 && Number(refused.retryAfter) <= 60, String(refused.retryAfter));
    assert.equal(calls, 2, 'the service was not called');
  });

  it('is 504 for a query, too, whose outcome does not matter', async (t) => {
    const upstream = await startUpstream(t, () => undefined);
    const gateway = await startGateway(t, upstream.url, { limits: { headersTimeoutMs: 150 } });
    const { type, status } = await problem(await get(gateway.url));
    assert.deepEqual([status, type], [504, 'urn:millrace:problem:gateway-timeout']);
  });

  it('is tried by one request at a time while the circuit is half open', async (t) => {
    let answering = false;
    const waiting: ServerResponse[] = [];
    let calls = 0;
    const upstream = await startUpstream(t, (_, response) => {
      calls += 1;
      if (answering) waiting.push(response);
    });
    const limits = { headersTimeoutMs: 500, breaker: { failures: 1, pauseMs: 1 } };
    const gateway = await startGateway(t, upstream.url, { limits });
    assert.equal((await post(gateway.url)).status, 504);
    answering = true;
    const probe = post(gateway.url);
    await eventually(() => calls === 2);
    const others = await Promise.all([post(gateway.url), post(gateway.url)]);
    assert.deepEqual(
      others.map(({ status }) => status),
      [503, 503],
    );
    waiting[0]!.end('ok');
    assert.equal((await probe).status, 200);
    const after = post(gateway.url);
    await eventually(() => waiting.length === 2);
    waiting[1]!.end();
    assert.equal((await after).status, 200);
  });

  it('in the middle of its answer ends the connection, so that the client sees that it is incomplete', async (t) => {
    const upstream = await startUpstream(t, (_, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('half');
    });
    const gateway = await startGateway(t, upstream.url, { limits: { bodyTimeoutMs: 100 } });
    const response = await get(gateway.url);
    assert.equal(response.status, 200);
    await assert.rejects(response.text());
  });
});

/** Breaks the first `count` connections without an answer. */
function breaking(count: number) {
  const methods: string[] = [];
  return {
    methods,
    listener: (request: IncomingMessage, response: ServerResponse) => {
      methods.push(request.method!);
      if (methods.length <= count) request.socket.destroy();
      else response.end('ok');
    },
  };
}

describe('a service that breaks the connection', () => {
  it('gets a request again if it changes nothing', async (t) => {
    const { methods, listener } = breaking(1);
    const upstream = await startUpstream(t, listener);
    const gateway = await startGateway(t, upstream.url);
    const response = await get(gateway.url);
    assert.deepEqual([response.status, await response.text()], [200, 'ok']);
    assert.deepEqual(methods, ['GET', 'GET']);
  });

  it('gets no third attempt', async (t) => {
    const { methods, listener } = breaking(5);
    const upstream = await startUpstream(t, listener);
    const gateway = await startGateway(t, upstream.url);
    assert.equal((await problem(await get(gateway.url))).status, 502);
    assert.equal(methods.length, 2);
  });

  it('is 504 for a command, which it may have processed and which is never sent twice', async (t) => {
    const { methods, listener } = breaking(1);
    const upstream = await startUpstream(t, listener);
    const gateway = await startGateway(t, upstream.url);
    const { type, status, retryAfter } = await problem(await post(gateway.url));
    assert.deepEqual([status, retryAfter, methods], [504, null, ['POST']]);
    assert.equal(type, 'urn:millrace:problem:outcome-unknown');
  });

  it('gets few retries while it fails', async (t) => {
    const { methods, listener } = breaking(1_000);
    const upstream = await startUpstream(t, listener);
    const gateway = await startGateway(t, upstream.url, { limits: { breaker: { failures: 1_000 } } });
    for (let i = 0; i < 50; i += 1) await (await get(gateway.url)).text();
    assert.ok(methods.length <= 50 + 10 + 5, `${methods.length} calls for 50 requests`);
  });
});

describe('a service that does not know whether a command took effect', () => {
  it('is passed on as it is, called once, and not counted as a failure', async (t) => {
    let calls = 0;
    const body = JSON.stringify({ type: 'urn:millrace:problem:outcome-unknown', status: 504, detail: 'lost' });
    const upstream = await startUpstream(t, (_, response) => {
      calls += 1;
      response.writeHead(504, { 'content-type': 'application/problem+json' }).end(body);
    });
    const gateway = await startGateway(t, upstream.url, { limits: { breaker: { failures: 1, pauseMs: 60_000 } } });
    for (const expected of [1, 2, 3]) {
      const response = await post(gateway.url);
      assert.deepEqual([response.status, await response.text()], [504, body]);
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
      assert.equal(calls, expected);
    }
  });
});

describe('a service with no free permit', () => {
  it('is 503 at once, until a call ends', async (t) => {
    const held: ServerResponse[] = [];
    const upstream = await startUpstream(t, (_, response) => held.push(response));
    const gateway = await startGateway(t, upstream.url, { limits: { maxInFlight: 2 } });
    const calls = [post(gateway.url), post(gateway.url)];
    await eventually(() => held.length === 2);
    const refused = await problem(await post(gateway.url));
    assert.deepEqual([refused.status, refused.detail, refused.retryAfter], [503, 'The orders service is busy', '1']);
    assert.equal(held.length, 2);
    for (const response of held) response.end();
    for (const call of calls) assert.equal((await call).status, 200);
    const next = post(gateway.url);
    await eventually(() => held.length === 3);
    held[2]!.end();
    assert.equal((await next).status, 200);
  });
});
