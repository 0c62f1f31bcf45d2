import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Routes } from './routes.ts';
import { contracts } from './testing.ts';

const routes = new Routes(contracts.contracts);

function routed(method: string, url: string) {
  const match = routes.match(method, url);
  assert.ok(match.kind === 'route', `${method} ${url} is ${match.kind}`);
  return { name: match.route.name, upstream: match.route.upstream, target: match.target, streams: match.route.streams };
}

describe('routes', () => {
  it('removes the prefix and keeps the query', () => {
    assert.deepEqual(routed('GET', '/api/orders/date-range?startDate=a%2Fb&endDate=?'), {
      name: 'GET /api/orders/date-range',
      upstream: 'orders',
      target: '/orders/date-range?startDate=a%2Fb&endDate=?',
      streams: false,
    });
  });

  it('serves analytics under both addresses and knows the event stream', () => {
    for (const prefix of ['', '/api']) {
      const { target, streams } = routed('GET', `${prefix}/analytics/stream`);
      assert.deepEqual({ target, streams }, { target: '/analytics/stream', streams: true });
    }
  });

  it('prefers literal segments to parameters', () => {
    assert.equal(routed('GET', '/api/orders/statistics').name, 'GET /api/orders/statistics');
    assert.equal(routed('GET', '/api/orders/5').name, 'GET /api/orders/{id}');
    assert.equal(
      routed('GET', '/api/orders/user/5/status/PENDING').name,
      'GET /api/orders/user/{userId}/status/{status}',
    );
    assert.equal(routed('GET', '/api/orders/statistics/events').name, 'GET /api/orders/{id}/events');
  });

  it('answers HEAD where it answers GET', () => {
    assert.equal(routed('HEAD', '/api/users/1').name, 'HEAD /api/users/{id}');
  });

  it('names the allowed methods of a path', () => {
    assert.deepEqual(routes.match('PATCH', '/api/users/1'), {
      kind: 'wrong-method',
      allow: 'GET, HEAD, PUT, DELETE, OPTIONS',
    });
  });

  it('finds no other path', () => {
    for (const url of [
      '/',
      '/orders',
      '/api',
      '/api/',
      '/api//orders',
      '/api/orders/5/',
      '/api/orders//events',
      '*',
      '',
    ]) {
      const { kind } = routes.match('GET', url);
      assert.equal(kind, url === '/api/orders/5/' ? 'route' : 'unknown', url);
    }
    assert.equal(routes.match('GET', 'http://elsewhere/api/orders').kind, 'unknown');
  });

  it('finds every operation of the contract with any parameters', () => {
    const segment = fc.string({ minLength: 1, unit: fc.constantFrom(...'abz019-._~%é'.split('')) });
    const operation = fc.constantFrom(...contracts.operations);
    fc.assert(
      fc.property(operation, fc.array(segment, { minLength: 4, maxLength: 4 }), ({ method, path, service }, values) => {
        let i = 0;
        const target = path.replaceAll(/\{\w+\}/g, () => values[i++]!);
        const match = routed(method.toUpperCase(), `/api${target}?a=b`);
        assert.equal(match.upstream, service);
        assert.equal(match.target, `${target}?a=b`);
      }),
    );
  });
});
