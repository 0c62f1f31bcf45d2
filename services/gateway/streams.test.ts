import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { startGateway, startUpstream } from './testing.ts';
import { eventually } from '#test/eventually.ts';

const sse = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' };

async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string | undefined> {
  const { done, value } = await reader.read();
  return done ? undefined : Buffer.from(value).toString();
}

describe('event streams', () => {
  it('pass through event by event, without a time limit', async (t) => {
    let stream: ServerResponse | undefined;
    let resumed: string | undefined;
    const upstream = await startUpstream(t, (request, response) => {
      if (request.url === '/orders') {
        response.writeHead(200).write('the beginning of an answer');
        return;
      }
      resumed = request.headers['last-event-id'] as string;
      stream = response.writeHead(200, sse);
      stream.flushHeaders();
    });
    const gateway = await startGateway(t, upstream.url, { limits: { bodyTimeoutMs: 50, headersTimeoutMs: 200 } });
    const response = await fetch(`${gateway.url}/analytics/stream`, { headers: { 'Last-Event-ID': '41' } });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.equal(resumed, '41');
    const reader = response.body!.getReader();
    const ordinary = await fetch(`${gateway.url}/api/orders`);
    await assert.rejects(ordinary.text(), 'the time limit of an ordinary answer, which began later, has passed');
    for (const id of [42, 43]) {
      stream!.write(`id: ${id}\n\n`);
      assert.equal(await next(reader), `id: ${id}\n\n`);
    }
    await reader.cancel();
  });

  it('end at the service when the client leaves', async (t) => {
    let open = 0;
    const upstream = await startUpstream(t, (_, response) => {
      open += 1;
      response.writeHead(200, sse).flushHeaders();
      response.once('close', () => (open -= 1));
    });
    const gateway = await startGateway(t, upstream.url);
    const abort = new AbortController();
    await fetch(`${gateway.url}/analytics/stream`, { signal: abort.signal });
    assert.equal(open, 1);
    abort.abort();
    await eventually(() => open === 0);
  });

  it('end at the service, too, where a client that leaves has asked for several on one connection', async (t) => {
    let [asked, open] = [0, 0];
    const upstream = await startUpstream(t, (_, response) => {
      asked += 1;
      open += 1;
      response.writeHead(200, sse).flushHeaders();
      response.once('close', () => (open -= 1));
    });
    const gateway = await startGateway(t, upstream.url);
    const socket = connect(gateway.port, '127.0.0.1');
    socket.write('GET /analytics/stream HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(5));
    await eventually(() => asked === 5, 'all are asked for');
    socket.destroy();
    await eventually(
      () => open === 0,
      () => `none of them stays: ${open}`,
    );
  });

  it('take no permits of calls, and have their own limit', async (t) => {
    const upstream = await startUpstream(t, (request, response) => {
      if (request.url === '/analytics/stream') response.writeHead(200, sse).flushHeaders();
      else response.end();
    });
    const gateway = await startGateway(t, upstream.url, { limits: { maxInFlight: 1, maxStreams: 2 } });
    const abort = new AbortController();
    const open = async () => (await fetch(`${gateway.url}/analytics/stream`, { signal: abort.signal })).status;
    assert.deepEqual([await open(), await open(), await open()], [200, 200, 503]);
    assert.equal((await fetch(`${gateway.url}/analytics/dashboard`)).status, 200);
    abort.abort();
  });

  it('are no more of one client than its share, and others have theirs', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.writeHead(200, sse).flushHeaders());
    const { port } = await startGateway(t, upstream.url);
    const requests: ClientRequest[] = [];
    const open = async (localAddress: string) => {
      const request = get({ host: '127.0.0.1', port, path: '/analytics/stream', localAddress, agent: false });
      requests.push(request);
      request.on('error', () => undefined); // it is cut off at the end
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    const statuses = await Promise.all(Array.from({ length: 60 }, () => open('127.0.0.1')));
    assert.equal(statuses.filter((status) => status === 200).length, 50);
    assert.equal(statuses.filter((status) => status === 429).length, 10);
    assert.equal(await open('127.0.0.2'), 200);
    for (const request of requests) request.destroy();
    await eventually(async () => (await open('127.0.0.1')) === 200, 'its streams of before are closed');
    requests.at(-1)!.destroy();
  });

  it('that the service refuses are refused to the client', async (t) => {
    const upstream = await startUpstream(t, (_, response) => {
      response.writeHead(503, { 'Retry-After': '2', 'content-type': 'application/problem+json' }).end('{}');
    });
    const gateway = await startGateway(t, upstream.url);
    const response = await fetch(`${gateway.url}/analytics/stream`);
    assert.deepEqual([response.status, response.headers.get('retry-after'), await response.text()], [503, '2', '{}']);
  });
});

describe('a client that leaves', () => {
  it('ends its call at the service, and releases its permit', async (t) => {
    let calls = 0;
    let left = 0;
    const upstream = await startUpstream(t, (request, response) => {
      calls += 1;
      if (calls === 2) response.end();
      else request.once('close', () => (left += 1));
    });
    const gateway = await startGateway(t, upstream.url, { limits: { maxInFlight: 1 } });
    const abort = new AbortController();
    const call = fetch(`${gateway.url}/api/orders`, { method: 'POST', body: '{}', signal: abort.signal });
    await eventually(() => calls === 1);
    abort.abort();
    await assert.rejects(call);
    await eventually(() => left === 1);
    assert.equal((await fetch(`${gateway.url}/api/orders`)).status, 200);
  });

  it('says nothing about the service: its circuit stays closed for the others', async (t) => {
    let calls = 0;
    let left = 0;
    let isLeaving = true;
    const upstream = await startUpstream(t, (request, response) => {
      calls += 1;
      if (isLeaving) request.once('close', () => (left += 1));
      else response.end();
    });
    const gateway = await startGateway(t, upstream.url);
    for (let n = 1; n <= 20; n++) {
      const abort = new AbortController();
      const call = fetch(`${gateway.url}/api/orders`, { signal: abort.signal });
      await eventually(() => calls === n);
      abort.abort();
      await assert.rejects(call);
      await eventually(() => left === n);
    }
    isLeaving = false;
    assert.equal((await fetch(`${gateway.url}/api/orders`)).status, 200);
  });

  it('slows a large answer down instead of filling the memory', async (t) => {
    const size = 64 * 1024 * 1024;
    let written = 0;
    const upstream = await startUpstream(t, (_, response) => {
      const part = Buffer.alloc(64 * 1024);
      const pump = () => {
        while (written < size) {
          written += part.length;
          if (!response.write(part)) {
            response.once('drain', pump);
            return;
          }
        }
        response.end();
      };
      pump();
    });
    const gateway = await startGateway(t, upstream.url);
    const response = await fetch(`${gateway.url}/api/orders`);
    const seen: number[] = [];
    await eventually(() => seen.push(written) > 10 && seen.at(-10) === written, 'the service has to wait');
    assert.ok(written < size / 2, `${written} bytes were read from the service`);
    let received = 0;
    for await (const chunk of response.body!) received += chunk.length;
    assert.equal(received, size);
  });
});

describe('drain', () => {
  it('finishes calls, ends event streams, accepts no new requests', async (t) => {
    let call: ServerResponse | undefined;
    let streams = 0;
    const upstream = await startUpstream(t, (request, response) => {
      if (request.url === '/analytics/stream') {
        streams += 1;
        response.writeHead(200, sse).flushHeaders();
      } else call = response;
    });
    const gateway = await startGateway(t, upstream.url);
    const stream = await fetch(`${gateway.url}/analytics/stream`);
    const posted = fetch(`${gateway.url}/api/orders`, { method: 'POST', body: '{}' });
    await eventually(() => call !== undefined && streams === 1);

    gateway.health.drain();
    assert.equal((await fetch(`${gateway.url}/readyz`)).status, 503);
    const closed = gateway.close();
    assert.equal(await next(stream.body!.getReader()), undefined);
    await assert.rejects(fetch(`${gateway.url}/api/orders`));
    call!.writeHead(201, { 'content-type': 'application/json' }).end('{"id":1}');
    const response = await posted;
    assert.deepEqual([response.status, await response.text()], [201, '{"id":1}']);
    await closed;
  });

  it('does not wait for idle connections', async (t) => {
    const upstream = await startUpstream(t, (_, response) => response.end());
    const gateway = await startGateway(t, upstream.url);
    await (await fetch(`${gateway.url}/api/orders`)).text();
    const startedAt = performance.now();
    await gateway.close();
    assert.ok(performance.now() - startedAt < 1_000);
    await once(upstream.server.close(), 'close');
  });
});
