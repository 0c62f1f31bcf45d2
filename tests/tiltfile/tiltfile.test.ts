// The test does not need Tilt: a Starlark interpreter runs the Tiltfile, with recorders in place of Tilt's functions.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { withoutHelm } from '../../charts/testing.ts';
import { assemble, usersOf } from './assemble.ts';
import type { Call, TiltResource } from './assemble.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const python = ['.millrace/starlark/bin/python', 'python3'].map((name) =>
  name.includes('/') ? join(root, name) : name,
);
const interpreter = python.find((program) => spawnSync(program, ['-c', 'import starlark']).status === 0);
const withoutKubectl = spawnSync('kubectl', ['kustomize', '--help']).status !== 0 && 'kubectl is not on the path';
const skip = withoutHelm || (interpreter === undefined && 'no Python here has the package starlark-pyo3');

/** The recorded calls of the Tiltfile. */
function interpret(context: string, ...settings: string[]): Call[] {
  const args = [join(root, 'tests/tiltfile/interpret.py'), 'Tiltfile', context, ...settings];
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  return JSON.parse(execFileSync(interpreter!, args, { cwd: root, env, encoding: 'utf8', stdio: 'pipe' })) as Call[];
}

const named = (calls: Call[], name: string) => calls.filter(({ call }) => call === name);

describe('the Tiltfile', { skip }, () => {
  const calls = skip ? [] : interpret('kind-millrace');
  let resources: Map<string, TiltResource>;
  const kindsOf = (name: string) => new Set(resources.get(name)?.objects.map(({ kind }) => kind));
  const after = (name: string) => resources.get(name)?.dependencies;

  before(() => {
    resources = assemble(calls);
  });

  test('deploys only to the local cluster', () => {
    assert.deepEqual(named(calls, 'allow_k8s_contexts')[0]?.args, [['kind-millrace']]);
    assert.throws(() => interpret('production'), /The current context is production/);
  });

  test('synchronises the TypeScript of the image, whose processes start anew', () => {
    const images = named(calls, 'docker_build').filter(({ named: options }) => 'live_update' in options);
    assert.deepEqual(
      images.map(({ args }) => args[0]),
      ['millrace'],
    );
    const steps = images[0]?.named['live_update'] as Call[];
    assert.equal(steps[0]?.call, 'fall_back_on');
    for (const [from, to] of steps.slice(1).map(({ args }) => args as string[])) {
      assert.equal(to, `/app/${from}`);
      assert.ok(existsSync(join(root, from!)), from);
    }
    for (const { name, objects } of usersOf('millrace', resources)) {
      const [container] = objects[0]!['spec'].template.spec.containers;
      assert.deepEqual(container.command, ['node', '--no-warnings', '--watch'], name);
    }
  });

  test('lets the init containers end, which node --watch does not', () => {
    const pods = [...resources.values()].flatMap(({ objects }) => objects[0]?.['spec'].template?.spec ?? []);
    const initial = pods.flatMap(({ initContainers = [] }) => initContainers as { command?: string[] }[]);
    assert.ok(initial.length > 1);
    assert.deepEqual(
      initial.filter(({ command }) => command !== undefined),
      [],
    );
    assert.ok(named(calls, 'docker_build').every(({ named: options }) => !('entrypoint' in options)));
  });

  test('has the operator migrate with the image that Tilt has made, which a change of a service does not change', () => {
    const declarations = eventServices().map(({ metadata }) => `${metadata.name}-declaration`);
    assert.deepEqual(
      usersOf('millrace-migrations', resources)
        .map(({ name }) => name)
        .toSorted(),
      declarations.toSorted(),
    );
    const [build] = named(calls, 'docker_build').filter(({ args }) => args[0] === 'millrace-migrations');
    assert.ok((build!.named['ignore'] as string[]).includes('services'));
  });

  test('has the kinds first, then the operator, then the declarations, then the services', () => {
    assert.deepEqual(kindsOf('kinds'), new Set(['CustomResourceDefinition']));
    assert.deepEqual(kindsOf('analytics-declaration'), new Set(['EventService']));
    assert.deepEqual(kindsOf('stream-queries'), new Set(['StreamQuery']));
    assert.deepEqual(kindsOf('kafka'), new Set(['Kafka', 'KafkaNodePool']));
    assert.deepEqual(kindsOf('analytics'), new Set(['Deployment', 'Service']));
    assert.deepEqual(after('millrace-operator'), ['kinds']);
    assert.deepEqual(after('analytics-declaration'), ['kinds', 'millrace-operator']);
    assert.deepEqual(after('analytics'), ['analytics-declaration', 'stream-queries', 'kafka', 'postgresql']);
  });

  test('labels every resource and forwards the port of every service', () => {
    for (const { name, labels } of resources.values()) assert.ok(labels.length > 0, name);
    for (const { metadata, spec } of eventServices())
      assert.deepEqual(resources.get(metadata.name)?.forwards[0]?.args, [spec.port, spec.port]);
  });

  test('has observability on request', { skip: withoutKubectl }, () => {
    assert.deepEqual(named(calls, 'kustomize'), []);
    const more = assemble(interpret('kind-millrace', 'observability=true'));
    for (const name of ['grafana', 'prometheus', 'tempo', 'kafka-ui', 'otel-collector'])
      assert.deepEqual(more.get(name)?.labels, ['observability']);
    assert.deepEqual(new Set(resources.keys()).difference(new Set(more.keys())), new Set());
  });

  test('leaves hooks to Helm', () => {
    for (const { args } of named(calls, 'k8s_yaml')) assert.ok(!(args[0] as string).includes('helm.sh/hook"'));
  });
});
