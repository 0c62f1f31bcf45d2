import type { Draws } from '../../chaos/plan.ts';

const services = ['users', 'orders', 'notifications', 'analytics', 'gateway'];
/** The edges that a fault can take away, as the chart names their policies. */
const edges = ['users', 'orders', 'notifications', 'analytics'].flatMap((service) => [
  `${service}-to-postgresql`,
  `${service}-to-kafka`,
]);

/** What can be drawn in a cluster. */
export const clusterDraws = {
  'kill-pod': { weight: 4, targets: [...services, 'postgresql', 'kafka', 'operator'], seconds: [0, 0] },
  'kill-all': { weight: 2, targets: services, seconds: [0, 0] },
  rollout: { weight: 2, targets: services, seconds: [0, 0] },
  drain: { weight: 1, targets: ['node'], seconds: [10, 20] },
  deny: { weight: 3, targets: edges, seconds: [10, 30] },
} satisfies Draws<string>;

export type ClusterFaultKind = keyof typeof clusterDraws;
