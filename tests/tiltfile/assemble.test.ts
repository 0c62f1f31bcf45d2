// Tilt's refusals, which its stand-in must have, too: a Tiltfile that passes here is one that `tilt up` loads.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';

import { assemble } from './assemble.ts';
import type { Call } from './assemble.ts';

const call = (name: string, args: unknown[], named: Record<string, unknown> = {}): Call => ({
  call: name,
  args,
  named,
});
const yaml = (...objects: object[]) => call('k8s_yaml', [objects.map((object) => stringify(object)).join('---\n')]);
const resource = (name: string, named?: Record<string, unknown>) => call('k8s_resource', [name], named);
const grouped = (name: string, ...objects: string[]) => call('k8s_resource', [], { new_name: name, objects });

const custom = (kind: string, name: string, spec = {}) => ({
  apiVersion: 'example.com/v1',
  kind,
  metadata: { name, namespace: 'shop' },
  spec,
});
const deployment = (name: string, image = 'shop:1') => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'shop' },
  spec: { template: { metadata: { labels: { app: name } }, spec: { containers: [{ name, image }] } } },
});
const service = (name: string, app: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec: { selector: { app } },
});

describe('as Tilt does, the stand-in', () => {
  test('makes a resource of each workload, with the Services of its pods', () => {
    const resources = assemble([yaml(deployment('orders'), service('door', 'orders'), service('other', 'users'))]);
    assert.deepEqual([...resources.keys()], ['orders']);
    assert.deepEqual(
      resources.get('orders')?.objects.map(({ metadata }) => metadata.name),
      ['orders', 'door'],
    );
  });

  test('names workloads of one name by their kinds, or as it is told', () => {
    const calls = [
      yaml(deployment('orders'), custom('Thing', 'orders', { image: 'shop:1' })),
      call('k8s_kind', ['Thing'], { image_json_path: '{.spec.image}' }),
    ];
    assert.deepEqual([...assemble(calls).keys()], ['orders:deployment', 'orders:thing']);
    const named = (kind: string, name: string) =>
      call('resource_name_of', [{ kind, name: 'orders', namespace: 'shop', group: '' }, name]);
    const told = assemble([...calls, named('Deployment', 'orders'), named('Thing', 'a thing')]);
    assert.deepEqual([...told.keys()], ['orders', 'a thing']);
    assert.deepEqual(told.get('a thing')?.images, ['shop:1']);
    const twice = [...calls, named('Deployment', 'orders'), named('Thing', 'orders')];
    assert.throws(() => assemble(twice), /mapped to resource name 'orders'/);
  });

  test('refuses an object that is not there, is not unique, or is in another resource', () => {
    const objects = yaml(custom('Thing', 'one'), custom('Other', 'one'));
    assert.throws(() => assemble([objects, grouped('things', 'two:Thing')]), /"two:Thing" could be found$/);
    assert.throws(() => assemble([objects, grouped('things', 'one')]), /"one" is not a unique fragment/);
    const twice = [objects, grouped('things', 'one:Thing'), grouped('more', 'one:thing')];
    assert.throws(() => assemble(twice), /"one:thing" could be found in remaining YAML/);
    assert.equal(assemble(twice.slice(0, 2)).get('things')?.objects.length, 1);
  });

  test('refuses a workload as an object; a kind is a part of the names of others', () => {
    const calls = (kind: string) => [
      yaml(custom('Kafka', 'shop'), custom('KafkaNodePool', 'pool')),
      call('k8s_kind', [kind]),
      grouped('kafka', 'pool:KafkaNodePool', 'shop:Kafka'),
    ];
    assert.throws(() => assemble(calls('Kafka')), /"pool:KafkaNodePool" could be found in remaining YAML/);
    assert.throws(() => assemble(calls('Kafka$')), /"shop:Kafka" could be found in remaining YAML/);
    assert.throws(() => assemble([yaml(deployment('orders')), grouped('all', 'orders:Deployment')]), /remaining YAML/);
  });

  test('refuses an object that is registered twice, and nothing in place of objects', () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
    assert.throws(() => assemble([yaml(namespace), yaml(namespace)]), /Duplicate YAML: Namespace shop/);
    assert.throws(() => assemble([call('k8s_yaml', [''])]), /Empty YAML/);
  });

  test('refuses options of a resource that is not there, or not yet', () => {
    assert.throws(() => assemble([yaml(deployment('orders')), resource('order')]), /unknown resource "order"/);
    const thing = yaml(custom('Thing', 'one'));
    const [made, used] = [grouped('things', 'one:Thing'), resource('things', { labels: ['a'] })];
    assert.deepEqual(assemble([thing, made, used]).get('things')?.labels, ['a']);
    assert.throws(() => assemble([thing, used, made]), /unknown resource "things"/);
    const renamed = resource('orders', { new_name: 'commands' });
    assert.throws(() => assemble([yaml(deployment('orders')), renamed, resource('orders')]), /unknown/);
    assert.throws(() => assemble([thing, made, made]), /"things" already exists/);
    assert.throws(() => assemble([thing, made, call('local_resource', ['things'])]), /already exists/);
    assert.throws(() => assemble([thing, call('k8s_resource', [], { new_name: 'none' })]), /workload or any objects/);
  });

  test('refuses what Tilt drops with a warning: an unknown dependency, an unused image', () => {
    const orders = yaml(deployment('orders'));
    assert.throws(
      () => assemble([orders, resource('orders', { resource_deps: ['kafka'] })]),
      /orders specified a dependency on unknown resource kafka/,
    );
    assert.throws(() => assemble([orders, call('docker_build', ['sho', '.'])]), /Image not used/);
  });

  test('refuses an entrypoint for an image of what has no containers', () => {
    const calls = [
      yaml(custom('Thing', 'one', { image: 'shop:1' })),
      call('k8s_kind', ['Thing'], { image_json_path: '{.spec.image}' }),
    ];
    assert.ok(assemble([...calls, call('docker_build', ['shop', '.'])]));
    const forced = call('docker_build', ['shop', '.'], { entrypoint: ['node', '--watch'] });
    assert.throws(() => assemble([...calls, forced]), /could not inject command/);
  });
});
