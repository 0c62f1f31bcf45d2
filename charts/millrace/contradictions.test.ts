import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { refusalOf, withoutHelm } from '../testing.ts';

// Kubernetes or the operator's kinds would refuse each of them, in the middle of an upgrade.
const contradictions: [object, string][] = [
  [
    { services: { analytics: { scaling: { minReplicas: 5 } } } },
    'services.analytics.scaling needs minReplicas and lagPerReplica, such as {minReplicas: 2, lagPerReplica: 5000}',
  ],
  [
    {
      defaults: { scaling: { minReplicas: 5, lagPerReplica: 100 } },
      services: { analytics: { scaling: { maxReplicas: 4 } } },
    },
    'services.analytics.scaling: minReplicas is 5, more than maxReplicas, 4',
  ],
  [{ services: { gateway: { autoscaling: { minReplicas: 2 } } } }, 'services.gateway.autoscaling needs maxReplicas'],
  // by default there are two
  [
    { services: { gateway: { autoscaling: { maxReplicas: 1 } } } },
    'services.gateway.autoscaling: minReplicas is 2, more than maxReplicas, 1',
  ],
  [
    { services: { analytics: { resources: { requests: { memory: '1Gi' } } } } },
    'services.analytics.resources: the request of memory is 1Gi, more than the limit, 448Mi',
  ],
  [
    { postgresql: { resources: { requests: { cpu: 3 }, limits: { cpu: '2500m' } } } },
    'postgresql.resources: the request of cpu is 3, more than the limit, 2500m',
  ],
  [
    { services: { analytics: { podDisruptionBudget: { minAvailable: 1 } } } },
    'services.analytics.podDisruptionBudget has both minAvailable and maxUnavailable',
  ],
  [
    { gateway: { service: { nodePort: 30_080 } } },
    'gateway.service.nodePort needs gateway.service.type, NodePort or LoadBalancer',
  ],
  [
    { gateway: { service: { externalTrafficPolicy: 'Local' } } },
    'gateway.service.externalTrafficPolicy needs gateway.service.type, NodePort or LoadBalancer',
  ],
  [
    { gateway: { service: { type: 'NodePort', loadBalancerClass: 'a' } } },
    'gateway.service.loadBalancerClass needs gateway.service.type, LoadBalancer',
  ],
  [
    { gateway: { service: { loadBalancerSourceRanges: ['10.0.0.0/8'] } } },
    'gateway.service.loadBalancerSourceRanges needs gateway.service.type, LoadBalancer',
  ],
];

describe('values that contradict each other', { skip: withoutHelm }, () => {
  for (const [values, message] of contradictions)
    test(`are refused by their names: ${JSON.stringify(values)}`, () => {
      const refusal = refusalOf('millrace', values);
      assert.ok(refusal.includes(message), refusal);
    });
});
