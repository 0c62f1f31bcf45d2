import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { field, helm, kubectl, kubectlIn, output, read, rolledOut, apply, scriptPod } from './cluster.ts';
import { chart, podsOf, release, script, services } from './installed.ts';
import type { Installed } from './installed.ts';

/** Where the charts expect monitoring. */
export const monitoring = 'observability';

/** An image of the platform with one more migration of users: next/Dockerfile. */
const nextTag = process.env['MILLRACE_NEXT_TAG'];

interface Pod {
  metadata: { deletionTimestamp?: string };
  spec: { containers: { image: string }[] };
  status: { containerStatuses: { state: { running?: { startedAt: string } } }[] };
}

/** An upgrade that rolls every service: a setting of all, and where there is one, the next release with a migration. */
export function upgrade(platform: Installed): void {
  describe('an upgrade', () => {
    before(async () => {
      const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: monitoring } };
      await output('kubectl', ['apply', '-f', '-'], JSON.stringify(object));
      await kubectlIn(monitoring, 'delete', 'pod', 'collector', '--ignore-not-found');
      for (const part of scriptPod('collector', platform.image, script('spans.mjs'))) await apply(part, monitoring);
      const ports = [{ port: 4318 }];
      const metadata = { name: 'otel-collector' };
      const spec = { selector: { app: 'collector' }, ports };
      await apply({ apiVersion: 'v1', kind: 'Service', metadata, spec }, monitoring);
      await kubectlIn(monitoring, 'wait', '--for=condition=Ready', 'pod/collector', '--timeout=60s');
    });
    after(() =>
      kubectlIn(
        monitoring,
        'delete',
        'pod,configmap,service',
        'collector',
        'otel-collector',
        '--ignore-not-found',
        '--wait=false',
      ),
    );

    test('of every service under load loses no request', async (t) => {
      const earlier = await Promise.all(services.map((name) => field(`deployment/${name}`, '.metadata.generation')));
      const settings = [
        `telemetry.otlpEndpoint=http://otel-collector.${monitoring}:4318`,
        'telemetry.sampleRatio=0', // what a client has begun to trace, and nothing else
        `defaults.podAnnotations.rolled=at-${Date.now()}`,
        ...(nextTag === undefined ? [] : [`image.tag=${nextTag}`]),
      ];
      const { placed, some, failed, failures } = await platform.underLoad(async () => {
        await helm('upgrade', release, chart, '--reuse-values', ...settings.flatMap((setting) => ['--set', setting]));
        await rolledOut();
      });
      const generations = await Promise.all(
        services.map((name) => field(`deployment/${name}`, '.metadata.generation')),
      );
      assert.ok(generations.every((generation, index) => Number(generation) > Number(earlier[index])));
      t.diagnostic(`${placed} orders, ${failed} failures`);
      assert.deepEqual(failures, []);
      await platform.allReadBack(some);
    });

    const withoutNext =
      nextTag === undefined ? 'MILLRACE_NEXT_TAG names no image of tests/cluster/platform/next' : false;
    test('applies a migration before the first pod that needs it', { skip: withoutNext }, async (t) => {
      const users = await read('eventservice/users');
      assert.equal(users.status?.['schemaVersion'], '9000_next');
      const jobs = JSON.parse(
        await kubectl('get', 'jobs', '--selector=app.kubernetes.io/name=users', '-o', 'json'),
      ) as { items: { spec: { template: { spec: Pod['spec'] } }; status: { completionTime?: string } }[] };
      const pods = JSON.parse(await kubectl('get', 'pods', `--selector=${podsOf('users')}`, '-o', 'json')) as {
        items: Pod[];
      };
      const isNext = ({ containers: [container] }: Pod['spec']) => container!.image.endsWith(`:${nextTag}`);
      const job = jobs.items.find(({ spec }) => isNext(spec.template.spec));
      const started = pods.items
        .filter(({ spec }) => isNext(spec))
        .map(({ status }) => Date.parse(status.containerStatuses[0]!.state.running!.startedAt));
      const applied = Date.parse(job!.status.completionTime!);
      t.diagnostic(`the first pod started ${(Math.min(...started) - applied) / 1000} s after the migration`);
      assert.ok(started.length >= 2 && started.every((at) => at >= applied));
    });
  });
}
