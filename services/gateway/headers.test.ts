import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';
import { clientAddress, publicAddress, requestHeaders, responseHeaders } from './headers.ts';

const origin = 'http://orders:8082';
const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** A request with these header lines. */
function incoming(lines: string[]): IncomingMessage {
  const headers: Record<string, string> = {};
  const rawHeaders = lines.flatMap((line) => line.split(/: (.*)/, 2));
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    headers[name] = headers[name] === undefined ? rawHeaders[i + 1]! : `${headers[name]}, ${rawHeaders[i + 1]!}`;
  }
  return { rawHeaders, headers, socket: { remoteAddress: '10.0.0.9' } } as unknown as IncomingMessage;
}

/** A flat list of names and values as header lines. */
const lines = (flat: string[]) =>
  Array.from({ length: flat.length / 2 }, (_, i) => `${flat[2 * i]}: ${flat[2 * i + 1]}`);

const sent = (received: string[], trustProxy = false) =>
  lines(requestHeaders(incoming(received), { trustProxy, prefix: '/api' }, parent));

describe('request headers', () => {
  it('omit headers of one connection, and those that Connection names', () => {
    const headers = sent([
      'Host: shop.example',
      'Connection: close, X-Secret',
      'X-Secret: 1',
      'Keep-Alive: 1',
      'TE: trailers',
      'Upgrade: h2c',
      'Transfer-Encoding: chunked',
      'Proxy-Authorization: x',
      'Expect: 100-continue',
      'Accept: a/b',
      'X-Twice: 1',
      'X-Twice: 2',
      'If-Match: "1"',
    ]);
    assert.deepEqual(headers, [
      'accept: a/b',
      'x-twice: 1',
      'x-twice: 2',
      'if-match: "1"',
      'x-forwarded-for: 10.0.0.9',
      'x-forwarded-host: shop.example',
      'x-forwarded-proto: http',
      'x-forwarded-prefix: /api',
      `traceparent: ${parent}`,
    ]);
  });

  const forged = ['Host: a', 'X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: b'];

  it('do not trust the forwarded headers of a client', () => {
    const headers = sent([...forged, 'Forwarded: for=1.2.3.4', 'Traceparent: mine']);
    assert.deepEqual(headers.slice(0, 3), [
      'x-forwarded-for: 10.0.0.9',
      'x-forwarded-host: a',
      'x-forwarded-proto: http',
    ]);
    assert.equal(headers.length, 5);
  });

  it('trust the forwarded headers of a trusted proxy', () => {
    const headers = sent(forged, true);
    assert.deepEqual(headers.slice(0, 3), [
      'x-forwarded-for: 1.2.3.4, 10.0.0.9',
      'x-forwarded-host: b',
      'x-forwarded-proto: https',
    ]);
  });
});

describe('client address', () => {
  it('is the last one that a trusted proxy added, which a client cannot forge', () => {
    const request = incoming(['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-For: 1.2.3.4']);
    assert.equal(clientAddress(request, true), '1.2.3.4');
    assert.equal(clientAddress(request, false), '10.0.0.9');
  });
});

describe('the client of an address', () => {
  const of = (address: string) => clientAddress(incoming([`X-Forwarded-For: ${address}`]), true);

  it('has any port', () => {
    assert.equal(of('1.2.3.4:5678'), '1.2.3.4');
    assert.equal(of('[2001:db8::1]:443'), '2001:db8:0:0::/64');
  });

  it('has a network of IPv6 addresses', () => {
    for (const address of ['2001:db8:1:2::1', '2001:0DB8:1:2:ffff::', '2001:db8:1:2:3:4:5:6', '[2001:db8:1:2::9]']) {
      assert.equal(of(address), '2001:db8:1:2::/64');
    }
    assert.notEqual(of('2001:db8:1:3::1'), of('2001:db8:1:2::1'));
    assert.equal(of('::1'), '0:0:0:0::/64');
    assert.equal(of('fe80::1%eth0'), 'fe80:0:0:0::/64');
  });

  it('is the same in IPv4 and in IPv4 as IPv6', () => {
    assert.equal(of('::ffff:1.2.3.4'), '1.2.3.4');
  });
});

describe('response headers', () => {
  it('lead through the gateway', () => {
    const flat = responseHeaders(
      {
        location: '/orders/5',
        link: '</orders?limit=2&cursor=7>; rel="next", <http://orders:8082/orders>; rel="first", <?a>; rel="self"',
        'set-cookie': ['a=1', 'b=2'],
        connection: 'keep-alive, x-private',
        'x-private': '1',
        'transfer-encoding': 'chunked',
        etag: '"1"',
      },
      '/api',
      origin,
    );
    assert.deepEqual(lines(flat), [
      'location: /api/orders/5',
      'link: </api/orders?limit=2&cursor=7>; rel="next", </api/orders>; rel="first", <?a>; rel="self"',
      'set-cookie: a=1',
      'set-cookie: b=2',
      'etag: "1"',
    ]);
  });

  it('leave the addresses of others alone', () => {
    for (const address of ['https://example.org/orders', '//example.org/x', 'relative', '?cursor=1', '']) {
      assert.equal(publicAddress(address, '/api', origin), address);
    }
    assert.equal(publicAddress('http://orders:8082.example.org/', '/api', origin), 'http://orders:8082.example.org/');
    assert.equal(publicAddress('http://orders:8082/orders/5', '', origin), '/orders/5');
  });
});
