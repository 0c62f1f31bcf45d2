import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineContract } from '#platform/contract';
import { bySpecificity, expressPath, routesOf } from './routes.ts';

test('literal segments come before parameters', () => {
  const paths = ['/orders/{id}', '/orders/{id}/status', '/orders/statistics', '/orders', '/orders/user/{userId}'];
  const sorted = paths.toSorted(bySpecificity);
  assert.ok(sorted.indexOf('/orders/statistics') < sorted.indexOf('/orders/{id}'));
  assert.ok(sorted.indexOf('/orders/user/{userId}') < sorted.indexOf('/orders/{id}/status'));
});

test('a path knows all its methods', () => {
  const operation = { path: '/orders/{id}', summary: '', responses: {} };
  const { operations } = defineContract('orders', {
    operations: {
      getOrder: { ...operation, method: 'get' },
      deleteOrder: { ...operation, method: 'delete' },
      listOrders: { ...operation, method: 'get', path: '/orders' },
    },
  });
  const route = routesOf(Object.values(operations)).find(({ path }) => path === '/orders/{id}');
  assert.deepEqual(route?.operations.map(({ id }) => id).toSorted(), ['deleteOrder', 'getOrder']);
  assert.deepEqual(route?.allow.split(', ').toSorted(), ['DELETE', 'GET', 'HEAD', 'OPTIONS']);
});

test('parameters are written as Express wants them', () => {
  assert.equal(expressPath('/orders/user/{userId}/status/{status}'), '/orders/user/:userId/status/:status');
});
