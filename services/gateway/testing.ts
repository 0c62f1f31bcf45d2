import { Type } from 'typebox';
import { collectContracts, defineContract } from '#platform/contract';

const ok = { 200: { description: 'The answer' } };
const id = { params: Type.Object({ id: Type.String() }) };

function get(path: string) {
  return { method: 'get', path, summary: path, responses: ok } as const;
}

/** Contracts for the gateway's tests: nothing of the gateway depends on which services there are. */
export const contracts = collectContracts({ title: 'Tests', description: 'Services that the tests start.' }, [
  defineContract('users', {
    operations: {
      createUser: { ...get('/users'), method: 'post' },
      listUsers: get('/users'),
      getUser: { ...get('/users/{id}'), ...id },
      updateUser: { ...get('/users/{id}'), ...id, method: 'put' },
      deleteUser: { ...get('/users/{id}'), ...id, method: 'delete' },
      getUserByUsername: get('/users/username/{username}'),
    },
  }),
  defineContract('orders', {
    operations: {
      createOrder: { ...get('/orders'), method: 'post' },
      listOrders: get('/orders'),
      deleteOrder: { ...get('/orders/{id}'), ...id, method: 'delete' },
      getOrder: { ...get('/orders/{id}'), ...id },
      updateOrderStatus: { ...get('/orders/{id}/status'), ...id, method: 'put' },
      listOrderEvents: { ...get('/orders/{id}/events'), ...id },
      getOrderStatistics: get('/orders/statistics'),
      listOrdersByDate: get('/orders/date-range'),
      listOrdersOfUser: get('/orders/user/{userId}'),
      listOrdersOfUserByStatus: get('/orders/user/{userId}/status/{status}'),
    },
  }),
  defineContract('notifications', { operations: { listNotifications: get('/notifications') } }),
  defineContract('analytics', {
    prefixes: ['/api', ''],
    operations: {
      getDashboard: get('/analytics/dashboard'),
      listAlerts: get('/analytics/alerts'),
      streamAnalytics: {
        ...get('/analytics/stream'),
        responses: { 200: { description: 'The stream', contentType: 'text/event-stream' } },
      },
    },
  }),
]);
