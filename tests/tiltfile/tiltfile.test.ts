// The test does not need Tilt: a Starlark interpreter runs the Tiltfile, with recorders in place of Tilt's functions.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { eventServices } from '#platform/declarations';

import { withoutHelm } from '../../charts/testing.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const python = ['.millrace/starlark/bin/python', 'python3'].map((name) =>
  name.includes('/') ? join(root, name) : name,
);
const interpreter = python.find((program) => spawnSync(program, ['-c', 'import starlark']).status === 0);
const skip = withoutHelm || (interpreter === undefined && 'no Python here has the package starlark-pyo3');

interface Call {
  call: string;
  args: unknown[];
  named: Record<string, never>;
}

/** The recorded calls of the Tiltfile. */
function interpret(context: string, ...settings: string[]): Call[] {
  const args = [join(root, 'tests/tiltfile/interpret.py'), 'Tiltfile', context, ...settings];
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  return JSON.parse(execFileSync(interpreter!, args, { cwd: root, env, encoding: 'utf8', stdio: 'pipe' })) as Call[];
}

const named = (calls: Call[], name: string) => calls.filter(({ call }) => call === name);

describe('the Tiltfile', { skip }, () => {
  const calls = skip ? [] : interpret('kind-millrace');
  const resources = named(calls, 'k8s_resource').map(
    ({ args, named: options }) =>
      ({ name: args[0], ...options }) as unknown as Record<string, unknown> & { name: string },
  );

  test('deploys only to the local cluster', () => {
    assert.deepEqual(named(calls, 'allow_k8s_contexts')[0]?.args, [['kind-millrace']]);
    assert.throws(() => interpret('production'), /The current context is production/);
  });

  test('synchronises the TypeScript of the image', () => {
    const [image] = named(calls, 'docker_build') as unknown as { args: string[]; named: Record<string, unknown[]> }[];
    assert.equal(image?.args[0], 'millrace');
    assert.ok(image?.named['entrypoint']?.includes('--watch'));
    const steps = image?.named['live_update'] as Call[];
    assert.equal(steps[0]?.call, 'fall_back_on');
    for (const [from, to] of steps.slice(1).map(({ args }) => args as string[])) {
      assert.equal(to, `/app/${from}`);
      assert.ok(existsSync(join(root, from!)) || from === 'operators', from);
    }
  });

  test('has the kinds first, then the operator, then the declarations, then the services', () => {
    const after = (name: string) =>
      resources.find((resource) => (resource['new_name'] ?? resource.name) === name)?.['resource_deps'];
    const crds = JSON.parse(named(calls, 'k8s_yaml')[1]!.args[0] as string) as { kind: string }[];
    assert.deepEqual(new Set(crds.map(({ kind }) => kind)), new Set(['CustomResourceDefinition']));
    assert.deepEqual(after('millrace-operator'), ['kinds']);
    assert.deepEqual(after('declarations'), ['kinds', 'millrace-operator']);
    assert.deepEqual(after('orders'), ['declarations', 'kafka', 'postgresql']);
  });

  test('labels every resource and forwards the port of every service', () => {
    assert.ok(resources.every((resource) => (resource['labels'] as string[]).length > 0));
    for (const { metadata, spec } of eventServices()) {
      const forwards = resources.find(({ name }) => name === metadata.name)?.['port_forwards'] as Call[];
      assert.deepEqual(forwards[0]?.args, [spec.port, spec.port]);
    }
  });

  test('has observability on request', () => {
    assert.deepEqual(named(calls, 'kustomize'), []);
    const more = interpret('kind-millrace', 'observability=true');
    assert.deepEqual(named(more, 'kustomize')[0]?.args, ['k8s/observability']);
    const names = named(more, 'k8s_resource').map(({ args }) => args[0]);
    for (const name of ['grafana', 'prometheus', 'tempo', 'kafka-ui', 'otel-collector'])
      assert.ok(names.includes(name), name);
  });

  test('leaves hooks to Helm', () => {
    for (const { args } of named(calls, 'k8s_yaml').slice(1)) assert.ok(!(args[0] as string).includes('helm.sh/hook"'));
  });
});
