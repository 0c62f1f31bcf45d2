import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { EventService } from '#platform/declarations';

import { serviceEnvironment, startOrder } from './plan.ts';

function service(name: string, spec: Partial<EventService['spec']> = {}): EventService {
  return { kind: 'EventService', metadata: { name }, spec: { port: 8080, ...spec } };
}

function names(groups: EventService[][]): string[][] {
  return groups.map((group) => group.map((one) => one.metadata.name));
}

describe('startOrder', () => {
  test('puts a service after those that it calls', () => {
    const services = [
      service('door', { calls: ['a', 'b'] }),
      service('b', { calls: ['a'] }),
      service('a'),
      service('c'),
    ];
    assert.deepEqual(names(startOrder(services)), [['a', 'c'], ['b'], ['door']]);
  });

  test('refuses a cycle and an unknown name', () => {
    assert.throws(() => startOrder([service('a', { calls: ['b'] }), service('b', { calls: ['a'] })]), /a, b/);
    assert.throws(() => startOrder([service('a', { calls: ['z'] })]), /not declared/);
  });
});

test('serviceEnvironment gives a service only its own databases, and every address with the offset', () => {
  const orders = service('orders', {
    port: 8082,
    databases: [
      { name: 'orders', schema: 'prisma/orders' },
      { name: 'orders-read', schema: 'prisma/orders-read' },
    ],
  });
  const env = serviceEnvironment(orders, {
    all: [orders, service('users', { port: 8081 })],
    portOffset: 100,
    kafka: { brokers: ['kafka:9092', 'kafka:9093'], sasl: { username: 'millrace', password: 'sesame' } },
    superuserUrl: 'postgresql://postgres:secret@127.0.0.1:54429/postgres',
    cache: '/cache',
  });
  assert.equal(env['PORT'], '8182');
  assert.equal(env['USERS_URL'], 'http://127.0.0.1:8181');
  assert.equal(env['KAFKA_BROKERS'], 'kafka:9092,kafka:9093');
  assert.equal(env['KAFKA_SASL_USERNAME'], 'millrace');
  assert.equal(env['KAFKA_SASL_PASSWORD'], 'sesame');
  assert.deepEqual([env['KAFKA_SSL'], env['KAFKA_SSL_CA']], ['', '']);
  assert.equal(env['SMTP_URL'], 'smtp://127.0.0.1:1125');
  assert.match(env['DATABASE_URL'] ?? '', /^postgresql:\/\/orders:[\w-]{43}@127\.0\.0\.1:54429\/orders$/);
  assert.match(
    env['READ_DATABASE_URL'] ?? '',
    /^postgresql:\/\/orders_read:[\w-]{43}@127\.0\.0\.1:54429\/orders_read$/,
  );
  assert.notEqual(new URL(env['DATABASE_URL'] ?? '').password, new URL(env['READ_DATABASE_URL'] ?? '').password);
  assert.ok(!JSON.stringify(env).includes('secret'));
});
