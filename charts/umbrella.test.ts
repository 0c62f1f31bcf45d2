import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { chartFolder, find, podTemplates, renderFolder, withoutHelm, type Resource } from './testing.ts';

const charts = ['millrace', 'millrace-operator'];

describe('an umbrella chart', { skip: withoutHelm }, () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-umbrella-'));
    mkdirSync(join(folder, 'charts'));
    for (const name of charts) cpSync(chartFolder(name), join(folder, 'charts', name), { recursive: true });
    const dependencies = charts.map((name) => ({ name, version: '0.x', condition: `${name}.enabled` }));
    // JSON is YAML
    writeFileSync(
      join(folder, 'Chart.yaml'),
      JSON.stringify({ apiVersion: 'v2', name: 'umbrella', version: '1.0.0', dependencies }),
    );
  });
  after(() => rmSync(folder, { recursive: true }));

  const has = (resources: Resource[], kind: string) => resources.some((resource) => resource.kind === kind);

  test('has each chart if its condition is true', () => {
    const enabled = (millrace: boolean, operator: boolean) =>
      renderFolder(folder, { values: { millrace: { enabled: millrace }, 'millrace-operator': { enabled: operator } } });
    const both = enabled(true, true);
    assert.ok(has(both, 'EventService') && has(both, 'CustomResourceDefinition'));
    const platform = enabled(true, false);
    assert.ok(has(platform, 'EventService') && !has(platform, 'CustomResourceDefinition'));
    const operator = enabled(false, true);
    assert.ok(!has(operator, 'EventService') && has(operator, 'CustomResourceDefinition'));
    assert.deepEqual(enabled(false, false), []);
  });

  test('says for all what their images are pulled with', () => {
    const values = {
      global: { imagePullSecrets: [{ name: 'company' }, 'mirror'], somethingElse: 1 },
      millrace: { image: { pullSecrets: [{ name: 'own' }, { name: 'company' }] } },
    };
    const resources = renderFolder(folder, { values });
    const secrets = [{ name: 'company' }, { name: 'mirror' }];
    const pods = podTemplates(resources);
    for (const [name, { spec }] of pods) {
      const own = /millrace-operator$|StatefulSet/.test(name) ? [] : [{ name: 'own' }];
      const names = (list: { name: string }[]) => list.map((secret) => secret.name).toSorted();
      assert.deepEqual(names(spec['imagePullSecrets'] ?? []), names([...own, ...secrets]), name);
    }
    assert.ok(pods.size > charts.length);
    assert.deepEqual(find(resources, 'EventService', 'gateway')['spec'].imagePullSecrets.length, 3);
    const { spec: kafka } = find(resources, 'Kafka', 'millrace') as unknown as { spec: Resource };
    assert.deepEqual(kafka['entityOperator'].template.pod.imagePullSecrets, secrets);
    assert.deepEqual(find(resources, 'KafkaNodePool', 'dual-role')['spec'].template.pod.imagePullSecrets, secrets);
    const cloudNativePg = renderFolder(folder, {
      values: { ...values, millrace: { postgresql: { mode: 'cloudnative-pg' } } },
    });
    assert.deepEqual(find(cloudNativePg, 'Cluster', 'postgresql')['spec'].imagePullSecrets, secrets);
  });

  test('takes defaults of its charts back', () => {
    const values = {
      millrace: {
        services: { gateway: { replicas: null } },
        podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null },
        postgresql: { bundled: { podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null } } },
      },
      'millrace-operator': { podSecurityContext: { runAsUser: null, runAsGroup: null } },
    };
    const resources = renderFolder(folder, { values });
    assert.ok(!('replicas' in find(resources, 'Deployment', 'gateway')['spec']));
    for (const [name, pod] of podTemplates(resources))
      assert.ok(!/"(runAsUser|runAsGroup|fsGroup)"/.test(JSON.stringify(pod)), name);
  });
});
