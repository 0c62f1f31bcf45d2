import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { raw, startGateway, startUpstream, textOf } from './testing.ts';

describe('the edge server', () => {
  it('refuses a request with an ambiguous end', async (t) => {
    let calls = 0;
    const upstream = await startUpstream(t, (_, response) => {
      calls += 1;
      response.end();
    });
    const { port } = await startGateway(t, upstream.url);
    const head = 'POST /api/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n';
    for (const framing of [
      'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
      'Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde',
      'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
      'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n',
      'Content-Length: +3\r\n\r\nabc',
      ' Content-Length: 3\r\n\r\nabc',
      'Content-Length : 3\r\n\r\nabc',
    ]) {
      const answer = await raw(port, head + framing);
      assert.match(answer, /^HTTP\/1.1 400 Bad Request\r\n/, framing);
      assert.match(answer, /application\/problem\+json[^]*"status":400/, framing);
    }
    assert.equal(calls, 0);
  });

  it('never sends a body to the service as a second request', async (t) => {
    const seen: string[] = [];
    const upstream = await startUpstream(t, async (request, response) => {
      seen.push(`${request.method} ${request.url} ${(await textOf(request)).length}`);
      response.end();
    });
    const { port } = await startGateway(t, upstream.url);
    const hidden = 'GET /users HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const head = (method: string) =>
      `${method} /api/orders/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${hidden.length}\r\n\r\n`;
    for (const method of ['GET', 'DELETE']) {
      assert.match(await raw(port, head(method) + hidden), /^HTTP\/1.1 200 OK/);
    }
    assert.deepEqual(seen, [`GET /orders/1 ${hidden.length}`, `DELETE /orders/1 ${hidden.length}`]);
  });

  it('refuses headers that are too large', async (t) => {
    const { port } = await startGateway(t, 'http://127.0.0.1:9');
    const answer = await raw(port, `GET /api/orders HTTP/1.1\r\nHost: localhost\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 431 [^]*"status":431/);
  });

  it('refuses bytes that are not HTTP, and a request without a host', async (t) => {
    const { port } = await startGateway(t, 'http://127.0.0.1:9');
    assert.match(await raw(port, 'hello\r\n\r\n'), /^HTTP\/1.1 400 /);
    assert.match(await raw(port, 'GET /api/orders HTTP/1.1\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 400 /);
  });
});
