import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { networkInterfaces } from 'node:os';
import type { TestContext } from 'node:test';
import { Type } from 'typebox';
import { commonConfig, loadConfig } from '#platform/config';
import { Health } from '#platform/health';
import { createHttpServer } from './server.ts';
import type { ServerLimits } from './server.ts';

const echo: RequestListener = (request, response) => {
  request.resume().once('end', () => response.end(`${request.headers.host} ${request.url}`));
};

interface Options {
  address?: string;
  limits?: Partial<ServerLimits>;
  trusted?: string;
}

/** Starts a server that answers with the host and the target of a request; resolves with how to send bytes to it. */
async function start(t: TestContext, { address = '127.0.0.1', limits, trusted }: Options = {}) {
  const server = createHttpServer(echo, new Health(), limits);
  t.after(() => server.close());
  const port = await server.listen(0, address, trusted);
  return async (bytes: string, to = '127.0.0.1'): Promise<string> => {
    const socket = connect(port, to).setEncoding('utf8');
    await once(socket, 'connect');
    socket.write(bytes);
    let answer = '';
    for await (const chunk of socket) answer += chunk as string;
    return answer;
  };
}

const request = (target: string, ...headers: string[]) =>
  [`GET ${target} HTTP/1.1`, 'Connection: close', ...headers, '', ''].join('\r\n');
const local = 'Host: localhost:8080';

const isIPv6Here = Object.values(networkInterfaces()).some((of) => of?.some(({ address }) => address === '::1'));

describe('an HTTP server', () => {
  it('listens on every address of IPv4 and IPv6 by default', async (t) => {
    const { HOST } = loadConfig(Type.Object({ HOST: commonConfig.HOST }), { env: {} });
    const send = await start(t, { address: HOST });
    for (const address of ['127.0.0.1', ...(isIPv6Here ? ['::1'] : [])])
      assert.match(await send(request('/here', local), address), /localhost:8080 \/here$/, address);
  });

  it('maps a target in absolute form, whose host counts', async (t) => {
    const send = await start(t);
    for (const [target, seen] of [
      ['http://localhost:8080/api/users?a=b', 'localhost:8080 /api/users?a=b'],
      ['HTTP://LOCALHOST:8080', 'LOCALHOST:8080 /'],
      ['https://127.0.0.1?a=b', '127.0.0.1 /?a=b'],
      ['http://[::1]:8080/x', '[::1]:8080 /x'],
    ] as const) {
      const answer = await send(request(target, 'Host: 127.0.0.1'));
      assert.match(answer, /^HTTP\/1.1 200 OK\r\n/, target);
      assert.equal(answer.split('\r\n\r\n')[1]?.includes(seen), true, answer);
    }
  });

  it('refuses a malformed target', async (t) => {
    const send = await start(t);
    for (const target of [
      '*',
      '*/api/orders',
      'api/orders',
      '?a=b',
      'http://',
      'http:///x',
      'http://a@localhost/x',
      'http:/x',
      'ftp://localhost/x',
      'localhost:8080',
      '/api/orders#x',
      '/api/\tx',
      '/api/\u007fx',
    ]) {
      const answer = await send(request(target, local));
      assert.match(answer, /^HTTP\/1.1 400 Bad Request\r\n[^]*application\/problem\+json[^]*"status":400/, target);
    }
  });

  it('refuses a body in a transfer coding that it does not know', async (t) => {
    const send = await start(t);
    const head = (coding: string) =>
      `POST / HTTP/1.1\r\n${local}\r\nConnection: close\r\nTransfer-Encoding: ${coding}\r\n\r\n`;
    assert.match(await send(`${head('gzip, chunked')}0\r\n\r\n`), /^HTTP\/1.1 501 [^]*"status":501/);
    assert.match(await send(`${head('Chunked')}0\r\n\r\n`), /^HTTP\/1.1 200 /);
  });

  it('answers OPTIONS for itself', async (t) => {
    const send = await start(t);
    const answer = await send(`OPTIONS * HTTP/1.1\r\n${local}\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1.1 204 [^]*Allow: GET/);
  });

  it('says 431 as a problem for a head that is too large', async (t) => {
    const send = await start(t, { limits: { maxHeaderSize: 15 * 1024 } });
    const answer = await send(request('/', local, `X-A: ${'a'.repeat(16_250)}`));
    assert.match(answer, /^HTTP\/1.1 431 [^]*application\/problem\+json[^]*"status":431/);
    const long = await send(request(`/${'a'.repeat(16_250)}`, local));
    assert.match(long, /^HTTP\/1.1 431 [^]*"status":431/);
  });

  it('does not wait for a client that sends its request byte by byte', async (t) => {
    const limits = { headersTimeout: 100, requestTimeout: 200, connectionsCheckingInterval: 20 };
    const send = await start(t, { limits });
    assert.match(await send(`GET / HTTP/1.1\r\n${local}\r\n`), /^HTTP\/1.1 408 [^]*"status":408/);
    const body = 'Content-Length: 5\r\n\r\nab';
    assert.match(await send(`POST / HTTP/1.1\r\n${local}\r\n${body}`), /^HTTP\/1.1 408 /);
  });
});

describe('a server that only this machine reaches', () => {
  const foreign = /^HTTP\/1.1 403 Forbidden\r\n[^]*application\/problem\+json[^]*"status":403/;

  it('refuses a foreign host and a foreign website', async (t) => {
    const send = await start(t);
    for (const headers of [
      ['Host: evil.example', 'Origin: http://evil.example'],
      ['Host: evil.example'],
      ['Host: localhost.evil.example'],
      ['Host: 127.0.0.1.evil.example'],
      ['Host: evil.example:8080'],
      ['Host: '],
      [local, 'Origin: http://evil.example'],
      [local, 'Origin: https://localhost.evil.example'],
      [local, 'Origin: null'],
    ]) {
      assert.match(await send(request('/', ...headers)), foreign, headers.join());
    }
    assert.match(await send(request('http://evil.example/', local)), foreign, 'the host of a target counts');
  });

  it('answers its own names, with any port, and clients that are no browser', async (t) => {
    const send = await start(t);
    for (const headers of [
      ['Host: localhost'],
      ['Host: LocalHost:8080', 'Origin: http://localhost:5173'],
      ['Host: 127.0.0.1:8080', 'Origin: http://127.0.0.1:8080'],
      ['Host: [::1]:8080'],
      ['Host: shop.localhost'],
    ]) {
      assert.match(await send(request('/', ...headers)), /^HTTP\/1.1 200 /, headers.join());
    }
    assert.match(await send('GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1.1 200 /);
  });

  it('answers further names that it is told, such as that of a tunnel', async (t) => {
    const send = await start(t, { trusted: 'x.example,a.tunnel.example' });
    const tunnel = ['Host: a.tunnel.example', 'Origin: https://a.tunnel.example'];
    assert.match(await send(request('/', ...tunnel)), /^HTTP\/1.1 200 /);
    assert.match(await send(request('/', 'Host: b.tunnel.example')), foreign);
  });
});

describe('a server that others reach', () => {
  it('answers every host: a cluster has names of its own', async (t) => {
    const send = await start(t, { address: '0.0.0.0' });
    const headers = ['Host: shop.example', 'Origin: https://shop.example'];
    assert.match(await send(request('/', ...headers)), /^HTTP\/1.1 200 /);
  });
});
