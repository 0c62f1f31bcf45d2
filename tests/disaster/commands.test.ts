// Gives the commands of docs/disaster.md to recorders in the place of a cluster, and looks at what they would apply.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';

import {
  chartFolder,
  find,
  namesOf,
  render,
  renderIn,
  withCluster,
  withoutHelm,
  type Resource,
} from '../../charts/testing.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/disaster.md');

/** The blocks of a language on the page. */
const blocksOf = (language: string): string[] =>
  [...page.matchAll(new RegExp(`^( *)\`\`\`${language}\\n(.*?)^\\1\`\`\``, 'gms'))].map(([, indent = '', text = '']) =>
    text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );

/** The commands of the page to Helm, kubectl and Flux, in its order. */
function recorded(): string[][] {
  const recorders = ['helm', 'kubectl', 'flux'].map((name) => `${name}() { printf '%s\\0' ${name} "$@" '' >&3; }`);
  const script = [...recorders, ...blocksOf('sh')].join('\n');
  const { status, stderr, output } = spawnSync('bash', ['-c', script], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  const commands = output[3]!.split('\0\0').map((command) => command.split('\0'));
  assert.deepEqual(commands.pop(), ['']);
  return commands;
}

/** What `--set` of a command says, put over values. */
function setIn(values: object, command: readonly string[]): object {
  const result = structuredClone(values) as Record<string, unknown>;
  for (const [index, given] of command.entries()) {
    if (command[index - 1] !== '--set') continue;
    const [path = '', value = ''] = given.split(/=(.*)/s);
    assert.doesNotMatch(given, /[\\,{}[\]]/, 'this test knows single values alone');
    const keys = path.split('.');
    const last = keys.pop()!;
    let at = result;
    for (const key of keys) at = (at[key] ??= {}) as Record<string, unknown>;
    at[last] = parse(value);
  }
  return result;
}

const gateway: Resource = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'gateway' },
  spec: { replicas: 2 },
};

describe('the commands of the page', { skip: withoutHelm, concurrency: 2 }, () => {
  const commands = recorded();
  const helm = commands.filter(([program]) => program === 'helm');
  const closing = helm.findIndex((command) => command.includes('services.gateway.replicas=0'));

  /** What each command to Helm renders in an installation with some values, from the one that closes the door. */
  async function rendered(own: object): Promise<Resource[][]> {
    let values = own;
    let running = gateway;
    const all: Resource[][] = [];
    for (const command of helm.slice(closing)) {
      if (command.includes('install')) values = own;
      else assert.ok(command.includes('--reset-then-reuse-values'), command.join(' '));
      values = setIn(values, command);
      const options = { values, action: command.includes('install') ? 'install' : 'upgrade' } as const;
      all.push(await renderIn([running], chartFolder('millrace'), options));
      running = find(all.at(-1)!, 'Deployment', 'gateway');
    }
    return all;
  }

  const cloudNativePg = parse(blocksOf('yaml')[0]!) as object;
  for (const [where, own, opened] of [
    ['with the defaults', {}, 2],
    ['with an autoscaler', { services: { gateway: { autoscaling: { minReplicas: 3, maxReplicas: 6 } } } }, 3],
    ['with CloudNativePG', cloudNativePg, 2],
  ] as const)
    test(`keep the door closed until the last one opens it, ${where}`, async () => {
      assert.ok(closing >= 0 && closing < helm.length - 3);
      const all = await rendered(own);
      const pods = all.map((resources) => find(resources, 'Deployment', 'gateway')['spec'].replicas);
      assert.deepEqual(pods, [...pods.slice(1).map(() => 0), opened]);
      const autoscalers = all.map((resources) => namesOf(resources, 'HorizontalPodAutoscaler'));
      assert.deepEqual(autoscalers, [...pods.slice(1).map(() => []), 'services' in own ? ['gateway'] : []]);
      if (own !== cloudNativePg) return;
      const recovered = all.map((resources) => find(resources, 'Cluster', 'postgresql')['spec'].bootstrap);
      assert.ok(recovered.some((bootstrap) => bootstrap?.recovery.recoveryTarget.targetTime !== undefined));
    });

  test('change no number of pods behind Helm’s back', () => {
    assert.deepEqual(
      commands.filter((command) => command.includes('scale')),
      [],
    );
  });

  test('stop Argo CD and Flux where the examples have the platform, and let them go on as the examples do', () => {
    const exampleOf = (file: string, kind: string) =>
      parseAllDocuments(read(`k8s/gitops/${file}`))
        .map((document) => document.toJS())
        .find((object) => object.kind === kind && object.metadata.name === 'millrace');
    const application = exampleOf('argocd.yaml', 'Application');
    const patches = commands
      .filter((command) => command.includes('application'))
      .map((command) => {
        const called = `kubectl -n ${application.metadata.namespace} patch application ${application.metadata.name}`;
        assert.equal(command.slice(0, 6).join(' '), called);
        return JSON.parse(command.at(-1)!).spec.syncPolicy.automated;
      });
    assert.deepEqual(patches, [null, application.spec.syncPolicy.automated]);
    const { namespace } = exampleOf('flux.yaml', 'HelmRelease').metadata;
    assert.deepEqual(
      commands.filter(([program]) => program === 'flux'),
      ['suspend', 'resume'].map((verb) => ['flux', '-n', namespace, verb, 'helmrelease', 'millrace']),
    );
  });
});

const withoutKubectl: string | false =
  spawnSync('kubectl', ['version', '--client']).status === 0 ? false : 'kubectl is not on the path';

test('a restore is no success of the CronJob of backups', { skip: withoutHelm || withoutKubectl }, async () => {
  const backup = { enabled: true };
  const cronJob = find(
    render('millrace', { values: { postgresql: { bundled: { backup } } } }),
    'CronJob',
    'postgresql-backup',
  );
  Object.assign(cronJob.metadata, { namespace: 'millrace', uid: '7d1b9f3e-1d5c-4a39-9b1c-000000000000' });
  const resources = [{ name: 'cronjobs', kind: 'CronJob', namespaced: true, verbs: ['get'] }];
  const batch = { groupVersion: 'batch/v1', version: 'v1' };
  const answers: Record<string, object> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: [{ name: 'batch', versions: [batch], preferredVersion: batch }],
    },
    '/api/v1': { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'v1', resources: [] },
    '/apis/batch/v1': { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'batch/v1', resources },
    '/apis/batch/v1/namespaces/millrace/cronjobs/postgresql-backup': cronJob,
  };
  const job = await withCluster(
    (path) => answers[path],
    async (env) => {
      const [made, applied] = blocksOf('sh')
        .find((block) => block.includes('RESTORE_DATABASE'))!
        .split('kubectl apply -f -');
      assert.match(applied!, /logs/);
      const script = ['-o', 'pipefail', '-c', `${made} cat`];
      return parse((await promisify(execFile)('bash', script, { env })).stdout);
    },
  );
  assert.match(job.metadata.name, /^restore-orders-\d+$/);
  assert.equal(job.metadata.ownerReferences, undefined);
  const wanted = cronJob['spec'].jobTemplate.spec;
  wanted.template.spec.containers[0].env.push({ name: 'RESTORE_DATABASE', value: 'orders' });
  assert.partialDeepStrictEqual(job.spec, wanted);
});
