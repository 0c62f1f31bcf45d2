import assert from 'node:assert/strict';
import { test } from 'node:test';

import { helm, kubectl, rolledOut } from './cluster.ts';
import { chart, release } from './installed.ts';
import { watchOf } from './watching.ts';

/** Kubernetes makes the number of pods 1 where an upgrade takes it out of a Deployment. */
export function replicas(): void {
  test('an upgrade that gives the number of pods to an autoscaler keeps the pods that there are', async () => {
    const services = ['gateway', 'users'];
    const deployments = services.map((name) => `deployment/${name}`);
    await kubectl('scale', ...deployments, '--replicas=3');
    await rolledOut();
    const watches = deployments.map((name) => watchOf(name, '-o', 'jsonpath={.spec.replicas}{"\\n"}'));
    try {
      await Promise.all(watches.map((watch) => watch.until(/3/)));
      const limits = services.flatMap((name) => [
        `services.${name}.autoscaling.minReplicas=2`,
        `services.${name}.autoscaling.maxReplicas=3`,
      ]);
      await helm('upgrade', release, chart, '--reuse-values', ...limits.flatMap((limit) => ['--set', limit]));
      const autoscalers = services.map((name) => `horizontalpodautoscaler/${name}`);
      // it has seen the Deployment
      await kubectl('wait', '--for=jsonpath={.status.currentReplicas}=3', ...autoscalers, '--timeout=90s');
      for (const watch of watches) assert.deepEqual(new Set(watch.shown().trim().split('\n')), new Set(['3']));
    } finally {
      await Promise.all(watches.map((watch) => watch.close()));
      await helm('rollback', release);
    }
    await rolledOut();
  });
}
