import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Registry } from 'prom-client';
import { RuntimeMetrics } from './metrics.ts';
import { configMaps } from './testing/support.ts';

it('the metric of a resource is there while the resource is, can be read, and the process leads', async () => {
  const registry = new Registry();
  const metrics = new RuntimeMetrics(registry);
  const lines = async () =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('operator_resource_ready{'));
  const line = (name: string, value: number) =>
    `operator_resource_ready{resource="configmaps",resource_namespace="shop",name="${name}"} ${value}`;
  const unread = new Set<string>();
  metrics.leads(true, (namespace) => unread.has(namespace));
  metrics.ready(configMaps, 'shop/a', true);
  metrics.ready(configMaps, 'shop/b', false);
  assert.deepEqual(await lines(), [line('a', 1), line('b', 0)]);
  metrics.ready(configMaps, 'shop/b', undefined);
  assert.deepEqual(await lines(), [line('a', 1)]);
  unread.add('shop');
  assert.deepEqual(await lines(), [], 'nobody knows');
  unread.clear();
  assert.deepEqual(await lines(), [line('a', 1)]);
  metrics.leads(false);
  assert.deepEqual(await lines(), [], 'the next leader has them');
});
