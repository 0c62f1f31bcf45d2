import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { eventServices } from '#platform/declarations';

import { chartFolder, find, namesOf, render, renderIn, withoutHelm, type Resource } from '../testing.ts';

const declared = eventServices();
const names = declared.map(({ metadata }) => metadata.name);
const consumers = declared.filter(({ spec }) => spec.consumes).map(({ metadata }) => metadata.name);
/** The number of pods of each Deployment, or `none` where the chart does not say it. */
function countsIn(resources: Resource[]): Record<string, unknown> {
  const count = (name: string) => {
    const { spec } = find(resources, 'Deployment', name) as unknown as { spec: object };
    return 'replicas' in spec ? spec.replicas : 'none';
  };
  return Object.fromEntries(names.map((name) => [name, count(name)]));
}
const autoscalersIn = (resources: Resource[]) => namesOf(resources, 'HorizontalPodAutoscaler');
const each = (count: (name: string) => unknown) => Object.fromEntries(names.map((name) => [name, count(name)]));

describe('the number of pods of a service', { skip: withoutHelm }, () => {
  test('is the operator’s where it scales by lag, and stays the chart’s where there is no lag', () => {
    const scaling = { minReplicas: 2, maxReplicas: 5, lagPerReplica: 100, stabilization: '1m' };
    const resources = render('millrace', { values: { defaults: { scaling } } });
    assert.ok(consumers.length > 0 && consumers.length < names.length);
    assert.deepEqual(
      countsIn(resources),
      each((name) => (consumers.includes(name) ? 'none' : 2)),
    );
    for (const name of names)
      assert.deepEqual(
        find(resources, 'EventService', name)['spec'].scaling,
        consumers.includes(name) ? scaling : undefined,
        name,
      );
    const wrong = { services: { orders: { scaling: { lagPerReplica: 0 } } } };
    assert.throws(() => render('millrace', { values: wrong }), /lagPerReplica/);
  });

  test('is somebody else’s where it is null', () => {
    const some = render('millrace', {
      values: { services: { gateway: { replicas: null }, users: { replicas: 0 } } },
    });
    assert.deepEqual(
      countsIn(some),
      each((name) => ({ gateway: 'none', users: 0 })[name] ?? 2),
    );
    const all = render('millrace', { values: { defaults: { replicas: null } } });
    assert.deepEqual(
      countsIn(all),
      each(() => 'none'),
    );
    assert.equal(find(all, 'EventService', 'orders')['spec'].scaling, undefined);
  });

  test('is an autoscaler’s of the chart, for the services that the operator does not scale', () => {
    const autoscaling = { minReplicas: 3, maxReplicas: 6, cpu: '400m' };
    const scaling = { minReplicas: 2, lagPerReplica: 100 };
    const resources = render('millrace', { values: { defaults: { autoscaling, scaling } } });
    assert.deepEqual(
      countsIn(resources),
      each(() => 'none'),
    );
    assert.deepEqual(
      autoscalersIn(resources),
      names.filter((name) => !consumers.includes(name)),
    );
    assert.ok(autoscalersIn(resources).includes('gateway') && autoscalersIn(resources).includes('users'));
    assert.deepEqual(find(resources, 'HorizontalPodAutoscaler', 'users')['spec'], {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'users' },
      minReplicas: 3,
      maxReplicas: 6,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'AverageValue', averageValue: '400m' } } },
      ],
    });
    assert.deepEqual(autoscalersIn(render('millrace')), []);
    const orders = render('millrace', { values: { services: { orders: { autoscaling: { maxReplicas: 4 } } } } });
    assert.deepEqual(autoscalersIn(orders), ['orders']);
    const metrics = [
      { type: 'External', external: { metric: { name: 'rate' }, target: { type: 'Value', value: '9' } } },
    ];
    const behavior = { scaleDown: { stabilizationWindowSeconds: 60 } };
    const own = { services: { users: { autoscaling: { maxReplicas: 4, metrics, behavior } } } };
    const { spec } = find(render('millrace', { values: own }), 'HorizontalPodAutoscaler', 'users');
    assert.deepEqual([spec.metrics, spec.behavior, spec.minReplicas], [metrics, behavior, 2]);
  });

  test('is 0 where the value says so, whatever else scales the service, and the least one when it says so no more', async () => {
    const autoscaling = { minReplicas: 3, maxReplicas: 6 };
    const scaling = { minReplicas: 4, lagPerReplica: 100 };
    const running: Resource[] = ['gateway', 'orders'].map((name) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name },
      spec: { replicas: 5 },
    }));
    const upgrade = async (services: object) => {
      const values = { defaults: { autoscaling, scaling }, services };
      return await renderIn(running, chartFolder('millrace'), { values, action: 'upgrade' });
    };
    const stopped = await upgrade({ gateway: { replicas: 0 }, orders: { replicas: 0 } });
    const { gateway, orders } = countsIn(stopped);
    assert.deepEqual([gateway, orders], [0, 0]);
    assert.deepEqual(autoscalersIn(stopped), ['users']);
    assert.equal(find(stopped, 'EventService', 'orders')['spec'].scaling, undefined);

    for (const deployment of running) deployment['spec'].replicas = 0;
    const elsewhere = countsIn(await upgrade({}));
    assert.deepEqual([elsewhere['gateway'], elsewhere['orders']], [0, 0], 'somebody else has stopped them');
    for (const name of ['gateway', 'orders'])
      Object.assign(running.find(({ metadata }) => metadata.name === name)!.metadata, {
        annotations: (find(stopped, 'Deployment', name).metadata as { annotations?: object }).annotations,
      });
    const started = await upgrade({});
    assert.deepEqual([countsIn(started)['gateway'], countsIn(started)['orders']], [3, 4]);
    assert.deepEqual(autoscalersIn(started), ['gateway', 'users']);
  });

  test('stays as it is in the cluster at the upgrade that gives it to somebody else, and at each later one', async () => {
    const running = (replicas: number): Resource[] =>
      names.map((name) => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec: { replicas } }));
    const upgrade = async (cluster: Resource[], values: object) =>
      countsIn(await renderIn(cluster, chartFolder('millrace'), { values, action: 'upgrade' }));
    const autoscaling = { maxReplicas: 6 };
    const scaling = { minReplicas: 2, lagPerReplica: 100 };
    for (const defaults of [{ autoscaling, scaling }, { autoscaling }, { replicas: null }])
      assert.deepEqual(
        await upgrade(running(4), { defaults }),
        each(() => 4),
        JSON.stringify(defaults),
      );
    assert.deepEqual(
      await upgrade(running(4), { defaults: { scaling } }),
      each((name) => (consumers.includes(name) ? 4 : 2)),
    );
    // whoever scaled it to 0 scales it up again
    assert.equal((await upgrade(running(0), { defaults: { replicas: null } }))['orders'], 0);
    // a service that is new
    assert.equal((await upgrade([], { defaults: { replicas: null } }))['orders'], 'none');
    // who sets it again
    assert.equal((await upgrade(running(4), {}))['orders'], 2);
  });
});
