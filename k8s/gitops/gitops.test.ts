import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';

import { find, podTemplates, render, withoutHelm } from '../../charts/testing.ts';
import { finishedConditions, unfinishedConditions } from '../../operators/millrace/completion.ts';
import { stalledOf } from '../../operators/millrace/report.ts';

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const { data } = parse(read('argocd-cm.yaml')) as { data: Record<string, string> };
const customizations = parse(data['resource.customizations']!) as Record<string, { 'health.lua': string }>;
const ofKinds = customizations['millrace.dev/*']!['health.lua'];
const ofApplication = data['resource.customizations.health.argoproj.io_Application']!;

const lua = ['lua5.4', 'lua', 'luajit'].find((program) => spawnSync(program, ['-v']).status === 0);
const withoutLua = lua === undefined && 'no Lua is on the path';

/** A value of JSON as one of Lua. */
function luaOf(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(luaOf).join(',')}}`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `[${JSON.stringify(key)}]=${luaOf(item)}`)
    .join(',')}}`;
}

/** What Argo CD says of an object. */
function assess(check: string, object: object): { status: string; message: string } {
  const script = `obj = ${luaOf(object)}\nlocal health = (function()\n${check}\nend)()\nprint(health.status)\nprint(health.message)`;
  const [said = '', message = ''] = execFileSync(lua!, ['-'], { input: script, encoding: 'utf8' }).split('\n');
  return { status: said, message };
}

/** The same of a resource of generation 2. */
const healthOf = (status: object | undefined) =>
  assess(ofKinds, { metadata: { generation: 2 }, ...(status && { status }) });

describe('the health check for Argo CD', { skip: withoutLua }, () => {
  const ready = (status: string, reason: string, message = '') => [{ type: 'Ready', status, reason, message }];
  const current = (conditions: object[]) => ({ observedGeneration: 2, conditions });

  test('calls a resource healthy when it is ready, and in progress before', () => {
    assert.equal(healthOf(undefined).status, 'Progressing');
    assert.equal(healthOf({ observedGeneration: 1, conditions: ready('True', 'Ready') }).status, 'Progressing');
    assert.equal(healthOf({ observedGeneration: -1 }).status, 'Progressing');
    const waiting = healthOf(current(ready('False', 'TopicsNotReady', 'orders waits for Strimzi')));
    assert.deepEqual(waiting, { status: 'Progressing', message: 'orders waits for Strimzi' });
    assert.equal(healthOf(current(ready('Unknown', 'Unreachable'))).status, 'Progressing');
    assert.equal(healthOf(current(ready('True', 'Ready'))).status, 'Healthy');
  });

  test('calls it degraded where waiting does not help', () => {
    const stalled = { type: 'Stalled', status: 'True', reason: 'Taken', message: 'it is of another' };
    assert.deepEqual(healthOf(current([...ready('False', 'NotReady'), stalled])), {
      status: 'Degraded',
      message: 'it is of another',
    });
    assert.equal(healthOf(current([...ready('True', 'Ready'), { ...stalled, status: 'False' }])).status, 'Healthy');
  });

  test('knows how replays and rebuilds end', () => {
    assert.equal(healthOf(current(unfinishedConditions('Building', '42%'))).status, 'Progressing');
    assert.equal(healthOf(current(finishedConditions('Complete', 'Switched', ''))).status, 'Healthy');
    const failed = finishedConditions('Failed', 'Refused', 'too many');
    assert.deepEqual(healthOf(current([...failed, ...stalledOf(failed)])), {
      status: 'Degraded',
      message: 'too many',
    });
  });
});

describe('the health of an Application for Argo CD', { skip: withoutLua }, () => {
  const [application] = parseAllDocuments(read('argocd.yaml')).map((document) => document.toJS());
  const compared = { status: 'Synced', comparedTo: { source: application.spec.source } };
  const healthy = { health: { status: 'Healthy' }, sync: compared };
  const statusOf = (status: object | undefined, spec: object = application.spec) =>
    assess(ofApplication, { spec, ...(status && { status }) }).status;

  test('is its own, and in progress before it has one', () => {
    assert.equal(statusOf(undefined), 'Progressing');
    assert.equal(statusOf({ sync: compared }), 'Progressing');
    assert.equal(statusOf(healthy), 'Healthy');
    const degraded = { ...healthy, health: { status: 'Degraded', message: 'a migration failed' } };
    assert.deepEqual(assess(ofApplication, { spec: application.spec, status: degraded }), degraded.health);
  });

  test('is not that of the version before', () => {
    const { source, syncPolicy } = application.spec;
    const upgraded = { source: { ...source, targetRevision: '9.9.9' }, syncPolicy };
    assert.equal(statusOf(healthy, upgraded), 'Progressing');
    const sync = { status: 'OutOfSync', comparedTo: { source: upgraded.source } };
    assert.equal(statusOf({ ...healthy, sync }, upgraded), 'Progressing');
    assert.equal(statusOf({ ...healthy, sync: { ...sync, status: 'Synced' } }, upgraded), 'Healthy');
  });

  test('is its own where somebody else applies what has changed, and with several sources', () => {
    const outOfSync = { ...healthy, sync: { ...compared, status: 'OutOfSync' } };
    assert.equal(statusOf(outOfSync, { source: application.spec.source }), 'Healthy');
    assert.equal(statusOf(outOfSync, { source: application.spec.source, syncPolicy: { automated: {} } }), 'Healthy');
    assert.equal(statusOf(healthy, { sources: [], syncPolicy: application.spec.syncPolicy }), 'Healthy');
  });
});

describe('the examples', { skip: withoutHelm }, () => {
  for (const [file, kind] of [
    ['argocd.yaml', 'Application'],
    ['flux.yaml', 'HelmRelease'],
  ] as const) {
    test(`of ${file} give both charts values that they take`, () => {
      const objects = parseAllDocuments(read(file)).map((document) => document.toJS());
      const releases = objects.filter((object) => object.kind === kind);
      assert.deepEqual(
        releases.map(({ metadata }) => metadata.name),
        ['millrace-operator', 'millrace'],
      );
      for (const { metadata, spec } of releases) {
        const values = spec.values ?? spec.source.helm.valuesObject;
        assert.match(JSON.stringify(render(metadata.name, { values })), /"registry\.example\.com\/millrace:/);
      }
    });
  }

  test('name one version of each chart: a range would upgrade the operator before the platform', () => {
    const objects = ['argocd.yaml', 'flux.yaml'].flatMap((file) =>
      parseAllDocuments(read(file)).map((document) => document.toJS()),
    );
    const versions = objects.flatMap(({ spec }) => spec.source?.targetRevision ?? spec.ref?.tag ?? []);
    assert.equal(versions.length, 4);
    for (const version of versions) assert.match(version, /^\d+\.\d+\.\d+/);
  });

  test('of external-secrets.yaml make the Secrets that the chart reads, with their keys', () => {
    const resources = render('millrace', { values: parse(read('external-secrets.yaml')) as object });
    const keysOf = (name: string): string[] =>
      find(resources, 'ExternalSecret', name)['spec'].data.map(({ secretKey }: { secretKey: string }) => secretKey);
    const { superuserSecretRef } = find(resources, 'EventService', 'analytics')['spec'].postgresql;
    assert.deepEqual(keysOf(superuserSecretRef.name).toSorted(), ['host', 'password', 'port', 'username']);
    // a copy without the shop sends no mails
    const { spec } = podTemplates(resources).get('Deployment notifications') ?? {};
    const url = spec?.['containers'][0].env.find(({ name }: { name: string }) => name === 'SMTP_URL');
    const { name, key } = url?.valueFrom.secretKeyRef ?? { name: 'smtp', key: 'url' };
    assert.deepEqual(keysOf(name), [key]);
  });
});
