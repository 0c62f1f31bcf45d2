import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { refusalOf, withoutHelm } from '../testing.ts';

// Kubernetes or the operator's kinds would refuse each of them, in the middle of an upgrade.
const contradictions: [object, string][] = [
  [
    { services: { orders: { scaling: { minReplicas: 5 } } } },
    'services.orders.scaling needs minReplicas and lagPerReplica, such as {minReplicas: 2, lagPerReplica: 5000}',
  ],
  [
    {
      defaults: { scaling: { minReplicas: 5, lagPerReplica: 100 } },
      services: { orders: { scaling: { maxReplicas: 4 } } },
    },
    'services.orders.scaling: minReplicas is 5, more than maxReplicas, 4',
  ],
  [{ services: { users: { autoscaling: { minReplicas: 2 } } } }, 'services.users.autoscaling needs maxReplicas'],
  // by default there are two
  [
    { services: { users: { autoscaling: { maxReplicas: 1 } } } },
    'services.users.autoscaling: minReplicas is 2, more than maxReplicas, 1',
  ],
  [
    { services: { orders: { resources: { requests: { memory: '1Gi' } } } } },
    'services.orders.resources: the request of memory is 1Gi, more than the limit, 448Mi',
  ],
  [
    { postgresql: { resources: { requests: { cpu: 3 }, limits: { cpu: '2500m' } } } },
    'postgresql.resources: the request of cpu is 3, more than the limit, 2500m',
  ],
  [
    { services: { orders: { podDisruptionBudget: { minAvailable: 1 } } } },
    'services.orders.podDisruptionBudget has both minAvailable and maxUnavailable',
  ],
  [{ gateway: { service: { nodePort: 30_080 } } }, 'gateway.service.nodePort needs gateway.service.type'],
];

describe('values that contradict each other', { skip: withoutHelm }, () => {
  for (const [values, message] of contradictions)
    test(`are refused by their names: ${JSON.stringify(values)}`, () => {
      const refusal = refusalOf('millrace', values);
      assert.ok(refusal.includes(message), refusal);
    });
});
